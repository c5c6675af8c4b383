/**
 * What is wrong with an archive: it does not let us have it, or there is none ("refused"); a file of the plan is no
 * longer there ("gone"); its bytes are not what they should be ("corrupt"); it makes no progress ("stuck"); it does not
 * answer ("unreachable").
 */
export type ArchiveTrouble = "refused" | "gone" | "corrupt" | "stuck" | "unreachable";

export class ArchiveError extends Error {
  readonly trouble: ArchiveTrouble;
  /** Of the answer that refused; undefined when there was none. */
  readonly status: number | undefined;
  /** When the server wants to be asked again. */
  readonly retryAfterMs: number | undefined;

  constructor(
    trouble: ArchiveTrouble,
    message: string,
    options: { cause?: unknown; status?: number; retryAfterMs?: number | undefined } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = "ArchiveError";
    this.trouble = trouble;
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** By the field and not the class, of which a bundle may hold two. */
export function troubleOf(error: unknown): ArchiveTrouble | undefined {
  if (!(error instanceof Error) || error.name !== "ArchiveError") return undefined;
  return (error as ArchiveError).trouble; // the name is ours
}
