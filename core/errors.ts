/** Stable names of what can go wrong. A name is permanent; the value says when it is used. */
export const errorCodes = {
  CONFIG_NOT_FOUND: "no happyview.config file where one is needed",
  CONFIG_INVALID: "the config file does not have the expected shape",
  PLUGIN_DUPLICATE: "two plugins of one name in the config",
  PLUGIN_NEED_MISSING: "a plugin needs another one that is not in the config",
  PLUGIN_SETUP_FAILED: "the setup function of a plugin threw",
  PLUGIN_LATE: "a contribution was registered after setup",
  CONTRIBUTION_DUPLICATE: "two owners contribute the same route, method, setting or command",
  DATABASE_URL_INVALID: "the database URL is not one we understand",
  DATABASE_UNREACHABLE: "the database cannot be opened or reached",
  DATABASE_READ_ONLY: "the database cannot be written",
  DATABASE_NEWER: "the database was migrated by a newer version",
  MIGRATION_FAILED: "a migration failed and was rolled back",
  LEXICON_INVALID: "a lexicon file or upload is not acceptable",
  SCRIPT_INVALID: "a script file or upload is not acceptable",
  RESOURCE_PATH: "a file lies where no resource can be",
  IDENTITY_UNRESOLVED: "a DID or handle has no usable document",
  IDENTITY_UNREACHABLE: "a DID could not be looked up now; asking again later may succeed",
  BUILD_FAILED: "the bundler could not make an output",
  COMMAND_USAGE: "a command was called in a way it does not know",
  SERVER_REFUSED: "a running server did not do what a command asked for",
  SERVER_UNREACHABLE: "a command's server does not answer",
  SERVER_LISTEN: "the server cannot listen on its host and port",
} as const;

export type ErrorCode = keyof typeof errorCodes;

const brand: symbol = Symbol.for("happyview.error");
const httpBrand: symbol = Symbol.for("happyview.http-error");

/**
 * An error for the operator or developer. `message` says what happened and why, `hint` what to do.
 * @example throw new HappyViewError("CONFIG_INVALID", { message: "…", hint: "…", cause });
 */
export class HappyViewError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, options: { message: string; hint?: string; cause?: unknown }) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "HappyViewError";
    this.code = code;
    this.hint = options.hint;
    Object.defineProperty(this, brand, { value: true });
  }
}

/** True for a HappyViewError of any copy of this module (bundling can duplicate classes). */
export function isHappyViewError(error: unknown): error is HappyViewError {
  return typeof error === "object" && error !== null && brand in error;
}

/** An answer to an HTTP client. The body is what the client sees, so it holds nothing internal. */
export class HttpError extends Error {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Record<string, string>;

  constructor(status: number, body: string | Record<string, unknown>, headers: Record<string, string> = {}) {
    super(typeof body === "string" ? body : JSON.stringify(body));
    this.name = "HttpError";
    this.status = status;
    this.body = typeof body === "string" ? { error: body } : body;
    this.headers = headers;
    Object.defineProperty(this, httpBrand, { value: true });
  }
}

/** A request refused before it reached a handler: plain text, as HappyView's framework answers (admin-api §0.1). */
export class Rejection extends HttpError {
  constructor(
    status: 400 | 404 | 405 | 413 | 415 | 421 | 422,
    text: string,
    headers: Record<string, string> = {},
  ) {
    super(status, text, headers);
    Object.defineProperty(this, "body", { value: text });
  }
}

export function isHttpError(error: unknown): error is HttpError {
  return typeof error === "object" && error !== null && httpBrand in error;
}

/** The chain of causes as one text, for logs: `outer: because inner`. */
export function explain(error: unknown): string {
  const parts: string[] = [];
  for (let e: unknown = error, depth = 0; e !== undefined && e !== null && depth < 6; depth++) {
    const text = e instanceof Error ? e.message : String(e);
    if (text && !parts.some((p) => p.includes(text))) parts.push(text);
    if (isHappyViewError(e) && e.hint) parts.push(`(${e.hint})`);
    e = e instanceof Error ? e.cause : undefined;
  }
  return parts.join(": ").replaceAll(": (", " (");
}
