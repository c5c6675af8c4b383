import type { HttpRequest } from "../http/request.ts";

/** What a plugin adds to the records of an answer that a lexicon gives without a script. */
export interface Decoration {
  headers: Record<string, string>;
  /** JSON text by member name, by URI; null leaves the record out. */
  members(
    rows: readonly { uri: string; record: string }[],
  ): Promise<ReadonlyMap<string, Readonly<Record<string, string>> | null>>;
}

/** Asked for every such request, so it is quick to say that there is nothing to add. */
export type Decorator = (request: HttpRequest) => Promise<Decoration | undefined>;
