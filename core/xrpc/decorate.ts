import type { HttpRequest } from "../http/request.ts";

/** What a plugin adds to the records of an answer that a lexicon gives without a script. */
export interface Decoration {
  /** Of the answer. */
  headers: Record<string, string>;
  /** JSON text by member name, by URI; null leaves the record out. */
  members(
    rows: readonly { uri: string; record: string }[],
  ): Promise<ReadonlyMap<string, Readonly<Record<string, string>> | null>>;
}

/** Asked for every such request, so it never waits; undefined leaves the answer as it is. @throws HttpError to refuse the request */
export type Decorator = (request: HttpRequest) => Decoration | undefined;
