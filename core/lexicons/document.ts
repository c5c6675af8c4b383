import { HttpError } from "../errors.ts";

export type LexiconType = "record" | "query" | "procedure" | "definitions";
export type ProcedureAction = "create" | "update" | "delete";
export type LexiconDocument = Record<string, unknown>;

/** How a value of the query string is read; anything else stays a string (sync-and-xrpc §4.4). */
export type ParameterTypes = ReadonlyMap<string, "integer" | "number" | "boolean">;

export interface ParsedLexicon {
  id: string;
  type: LexiconType;
  parameters: ParameterTypes;
  /** `defs.main.record`, shown to admins of record lexicons. */
  recordSchema: Record<string, unknown> | undefined;
}

/** Checks of an upload, in HappyView's order and words (sync-and-xrpc §1.4). */
export function parseLexicon(document: unknown): ParsedLexicon {
  if (!isObject(document) || typeof document["lexicon"] !== "number")
    throw new HttpError(400, "lexicon JSON must have a numeric 'lexicon' field");
  if (document["lexicon"] !== 1)
    throw new HttpError(400, `unsupported lexicon version: ${document["lexicon"]}`);
  const id = document["id"];
  if (typeof id !== "string") throw new HttpError(400, "lexicon JSON must have a string 'id' field");
  if (id.length > 317 || !/^[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+$/.test(id))
    throw new HttpError(400, `lexicon id '${id}' is not an NSID such as com.example.status`);
  const main = isObject(document["defs"]) ? document["defs"]["main"] : undefined;
  const type = isObject(main) ? main["type"] : undefined;
  return {
    id,
    type: type === "record" || type === "query" || type === "procedure" ? type : "definitions",
    parameters: parameterTypes(main),
    recordSchema: isObject(main) && isObject(main["record"]) ? main["record"] : undefined,
  };
}

/** null stands for upsert, which is what a procedure without an action does (sync-and-xrpc §1.3). */
export function parseAction(action: string | null | undefined): ProcedureAction | null {
  if (action === undefined || action === null || action === "upsert") return null;
  if (action === "create" || action === "update" || action === "delete") return action;
  throw new HttpError(400, `invalid action '${action}': must be create, update, delete, or upsert`);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parameterTypes(main: unknown): ParameterTypes {
  const parameters = isObject(main) ? main["parameters"] : undefined;
  const properties = isObject(parameters) ? parameters["properties"] : undefined;
  const types = new Map<string, "integer" | "number" | "boolean">();
  for (const [name, property] of Object.entries(isObject(properties) ? properties : {})) {
    const type = isObject(property) ? property["type"] : undefined;
    if (type === "integer" || type === "number" || type === "boolean") types.set(name, type);
  }
  return types;
}
