import { explain, isHappyViewError } from "../../core/errors.ts";
import { RefusedAnswer } from "../../core/http/answer.ts";

/** Why a unit failed (sync-and-xrpc §3.9), and whether asking again may help. */
const kinds = {
  dns_failure: true,
  connection_failed: true,
  timeout: true,
  pds_server_error: true,
  rate_limited: true,
  invalid_response: true,
  did_doc_not_found: false,
  did_doc_forbidden: false,
  did_doc_invalid: false,
  repo_not_found: false,
  repo_deactivated: false,
  repo_takendown: false,
  /** Records whose content is not what their CID says; all others of the repo are stored. */
  cid_mismatch: false,
  /** A repo export that its own signature or tree contradicts. */
  repo_invalid: true,
  other: false,
} as const;

export type FailureKind = keyof typeof kinds;

export interface Failure {
  kind: FailureKind;
  retryable: boolean;
  /** At most 220 characters. */
  message: string;
  /** What the server asks us to wait. */
  waitMs?: number | undefined;
}

const maxMessageLength = 220;

/** A failure with a kind of its own, where there is no answer or network error to tell it from. */
export class FetchError extends Error {
  readonly kind: FailureKind;
  /** Asking again does not help, though it may with others of this kind. */
  readonly isFinal: boolean;
  constructor(kind: FailureKind, message: string, options: { cause?: unknown; isFinal?: boolean } = {}) {
    super(message, options);
    this.name = "FetchError";
    this.kind = kind;
    this.isFinal = options.isFinal ?? false;
  }
}

export function toFailure(error: unknown): Failure {
  const { kind, waitMs, isFinal = false } = classify(error);
  return { kind, retryable: kinds[kind] && !isFinal, message: shorten(explain(error)), waitMs };
}

/** Whether it is the host's trouble; an answer about one repo, be it a no or a bad export, shows that the host works. */
export function blamesHost({ kind, retryable }: Failure): boolean {
  return retryable && kind !== "repo_invalid";
}

export function failure(kind: FailureKind, message: string): Failure {
  return { kind, retryable: kinds[kind], message: shorten(message) };
}

function shorten(message: string): string {
  return message.length <= maxMessageLength ? message : `${message.slice(0, maxMessageLength - 1)}…`;
}

function classify(error: unknown): {
  kind: FailureKind;
  waitMs?: number | undefined;
  isFinal?: boolean;
} {
  const causes = [...chain(error)];
  const own = causes.find((cause) => cause instanceof FetchError);
  if (own instanceof FetchError) return { kind: own.kind, isFinal: own.isFinal };
  if (isTooLarge(error)) return { kind: "invalid_response" };
  const answer = causes.find((cause) => cause instanceof RefusedAnswer);
  const ofIdentity = causes.find(isHappyViewError)?.code;
  if (answer instanceof RefusedAnswer) {
    if (answer.status === 429) return { kind: "rate_limited", waitMs: answer.waitMs };
    if (answer.status >= 500 || answer.status === 408)
      return { kind: "pds_server_error", waitMs: answer.waitMs };
    return { kind: ofIdentity ? ofDocument(answer.status) : ofRepo(answer) };
  }
  if (ofIdentity === "IDENTITY_UNRESOLVED") return { kind: "did_doc_invalid" };
  return { kind: ofNetwork(causes) };
}

/** As the fetch of core calls an answer that is larger than what is read of one. */
export const tooLarge = "Response too large";

export function isTooLarge(error: unknown): boolean {
  return [...chain(error)].some((cause) => cause instanceof Error && cause.message === tooLarge);
}

function* chain(error: unknown): Generator<unknown> {
  for (let e = error, depth = 0; e !== undefined && e !== null && depth < 6; depth++) {
    yield e;
    e = e instanceof Error ? e.cause : undefined;
  }
}

function ofDocument(status: number): FailureKind {
  if (status === 404 || status === 410) return "did_doc_not_found";
  return status === 401 || status === 403 ? "did_doc_forbidden" : "did_doc_invalid";
}

function ofRepo({ error, detail }: RefusedAnswer): FailureKind {
  const names: Record<string, FailureKind> = {
    RepoNotFound: "repo_not_found",
    RepoDeactivated: "repo_deactivated",
    RepoTakendown: "repo_takendown",
    RepoSuspended: "repo_takendown",
  };
  return names[error] ?? (/could not find repo/i.test(detail) ? "repo_not_found" : "other");
}

/**
 * By the codes of Node's resolver and sockets, undici's, and the names of aborted requests: those that we abort
 * ourselves are looked at by nobody, so an abort is a time that ran out.
 */
function ofNetwork(causes: readonly unknown[]): FailureKind {
  const codes = causes.flatMap((cause) =>
    cause instanceof Error ? [cause.name, "code" in cause ? String(cause.code) : ""] : [],
  );
  const has = (...wanted: string[]): boolean => codes.some((code) => wanted.includes(code));
  if (has("ENOTFOUND", "EAI_AGAIN")) return "dns_failure";
  if (
    has(
      "AbortError",
      "TimeoutError",
      "UND_ERR_CONNECT_TIMEOUT",
      "UND_ERR_HEADERS_TIMEOUT",
      "UND_ERR_BODY_TIMEOUT",
    )
  )
    return "timeout";
  if (has("ETIMEDOUT")) return "timeout";
  if (
    has(
      "ECONNREFUSED",
      "ECONNRESET",
      "EPIPE",
      "EHOSTUNREACH",
      "ENETUNREACH",
      "UND_ERR_SOCKET",
      "ConnectionRefused",
    )
  )
    return "connection_failed";
  if (causes.some((cause) => cause instanceof TypeError && cause.message === "terminated"))
    return "connection_failed";
  // A directory that answers with something that is no JSON.
  return has("SyntaxError") ? "invalid_response" : "other";
}
