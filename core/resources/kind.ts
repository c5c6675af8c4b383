import type { SourceFile } from "./files.ts";

/** Who made a resource: a file or config entry that is deployed, or a person through the admin API. */
export type Origin = "config" | "admin";

export interface ResourceChange {
  kind: string;
  id: string;
  action: "created" | "updated" | "deleted";
  origin: Origin;
}

export interface StoredResource {
  id: string;
  origin: Origin;
  /** Hash of the file this row was last made from; null for a row that no file has made. */
  configHash: string | null;
}

/** A declared thing that can be listed, put and removed, hence planned and applied: lexicons, scripts. */
export interface ResourceKind<Value = unknown> {
  /** As in messages: `lexicon`. */
  kind: string;
  /** The folder of its files, relative to the project: `lexicons`; or the key of the config whose entries stand for files. */
  folder: string;
  /** The id a path stands for, null for a file that is no resource (a README); throws RESOURCE_PATH for a misplaced one. */
  idOf(path: string): string | null;
  /** Reads and validates a file; throws a HappyViewError that names the file, the line if there is one, and the reason. */
  parse(file: SourceFile, id: string): Value | Promise<Value>;
  /** What else the value depends on (options in the config), mixed into the hash. */
  extras?(id: string): string;
  stored(): Promise<StoredResource[]>;
  put(id: string, value: Value, by: { origin: Origin; configHash: string | null }): Promise<void>;
  remove(id: string): Promise<void>;
}
