import { explain, isHappyViewError } from "../errors.ts";

/** Arguments that every command takes. */
export const commonArgs = {
  root: { type: "string", description: "The project folder", valueHint: "dir", default: "." },
  json: {
    type: "boolean",
    description: "Print JSON for programs instead of text for people",
    default: false,
  },
} as const;

export interface Output {
  /** The result of a command: JSON on standard output with --json, else the text. */
  result(value: unknown, text: string): void;
}

export function createOutput({ json }: { json: boolean }): Output {
  return {
    result(value, text) {
      process.stdout.write(`${json ? JSON.stringify(value) : text}\n`);
    },
  };
}

/** Says what went wrong and what to do, without a stack; ends with exit code 1. */
export function fail(error: unknown, { json }: { json: boolean }): never {
  if (json) {
    const hint = isHappyViewError(error) ? error.hint : undefined;
    process.stdout.write(
      `${JSON.stringify({ error: { code: isHappyViewError(error) ? error.code : "UNEXPECTED", message: explain(error), hint } })}\n`,
    );
  } else if (isHappyViewError(error)) {
    process.stderr.write(`\n  ${error.message}\n`);
    if (error.cause) process.stderr.write(`  because: ${explain(error.cause)}\n`);
    if (error.hint) process.stderr.write(`  → ${error.hint}\n\n`);
  } else {
    process.stderr.write(
      `\n  ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n\n`,
    );
  }
  process.exit(1);
}
