import type { Caller } from "../http/caller.ts";

/** Writes to the repos of accounts; the plugin that keeps their sessions makes one. */
export interface PdsWriter {
  /**
   * The session in which the caller, or a script in its name, may write; undefined when there is none.
   * @throws HttpError when the caller may not write for `delegateDid`
   */
  session(request: { caller: Caller; delegateDid?: string | undefined }): Promise<PdsSession | undefined>;
}

export interface PdsSession {
  /** POSTs JSON text to a method of the account's PDS. @throws PdsAuthError when the session is no longer valid */
  post(method: string, body: string): Promise<PdsAnswer>;
  /** Uploads a blob to the account's PDS. @throws PdsAuthError when the session is no longer valid */
  upload(bytes: Uint8Array<ArrayBuffer>, mimeType: string): Promise<PdsAnswer>;
}

export interface PdsAnswer {
  status: number;
  /** The text as the PDS sent it. */
  body: string;
}

/** The account must sign in again: the client of a procedure is told so with a 401. */
export class PdsAuthError extends Error {
  override name = "PdsAuthError";
}
