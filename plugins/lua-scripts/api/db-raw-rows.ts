import type { RawLimitName } from "../engine/engine.ts";
import { formatFloat } from "../engine/json-float.ts";

/** A column's value in a row, as JSON text; undefined for null and for what a script cannot have. */
export type RawCell = string | undefined;

export type RawLimits = Readonly<Record<RawLimitName, number>>;

/** How the statements of one call ended: with rows, a JSON array; with an error; or at a limit. */
export type RawAnswer = { used: Record<RawLimitName, number> } & (
  | { json: string }
  | { error: string }
  | { passed: RawLimitName }
);

/** What the statements of a call give and take. */
export interface RawRows {
  /** @throws at a limit, which ends the call */
  add(columns: readonly string[], cells: readonly RawCell[]): void;
  /** Time that is left; throws when there is none. */
  left(): number;
}

/** Ends a call that has passed a limit. */
export class PassedLimit extends Error {
  override name = "PassedLimit";
  readonly limit: RawLimitName;

  constructor(limit: RawLimitName) {
    super(limit);
    this.limit = limit;
  }
}

/** Runs the statements in `work`, which gives its rows one by one. `now` in milliseconds. */
export async function answerRaw(
  limits: RawLimits,
  now: () => number,
  work: (rows: RawRows) => void | Promise<void>,
): Promise<RawAnswer> {
  const used = { rawRows: 0, rawBytes: 0, rawMilliseconds: 0 };
  const rows: string[] = [];
  const begun = now();
  const use = (limit: RawLimitName, amount: number): void => {
    used[limit] = amount;
    if (amount > limits[limit]) throw new PassedLimit(limit);
  };
  const left = (): number => {
    use("rawMilliseconds", now() - begun);
    return limits.rawMilliseconds - used.rawMilliseconds;
  };
  const add: RawRows["add"] = (columns, cells) => {
    left();
    use("rawRows", used.rawRows + 1);
    const row = rowJson(columns, cells);
    use("rawBytes", used.rawBytes + row.length);
    rows.push(row);
  };
  try {
    await work({ add, left });
    used.rawMilliseconds = now() - begun;
    return { used, json: `[${rows.join(",")}]` };
  } catch (error) {
    used.rawMilliseconds = now() - begun;
    if (!(error instanceof PassedLimit))
      return { used, error: error instanceof Error ? error.message : String(error) };
    // The database may have seen it before this clock did.
    used[error.limit] = Math.max(used[error.limit], limits[error.limit]);
    return { used, passed: error.limit };
  }
}

/** A column of a database as JSON text. */
export function cellOf(value: unknown): RawCell {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "bigint":
      return String(value);
    case "boolean":
      return String(value);
    case "number":
      // JSON, in which rows travel, has neither infinities nor NaN.
      return Number.isFinite(value) ? formatFloat(value) : undefined;
    default:
      return undefined;
  }
}

function rowJson(columns: readonly string[], cells: readonly RawCell[]): string {
  const parts = columns.flatMap((name, i) => {
    const cell = cells[i];
    return cell === undefined ? [] : [`${JSON.stringify(name)}:${cell}`];
  });
  return `{${parts.join(",")}}`;
}
