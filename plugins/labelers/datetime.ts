const form = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/;

/** Unix microseconds of an RFC 3339 datetime; undefined for anything else. */
export function microsOf(text: unknown): number | undefined {
  const [, seconds, fraction = "", zone] = (typeof text === "string" && form.exec(text)) || [];
  const ms = seconds === undefined ? Number.NaN : Date.parse(`${seconds}${zone}`);
  return Number.isNaN(ms) ? undefined : ms * 1000 + Number(fraction.padEnd(6, "0").slice(0, 6));
}

/** Microseconds as a text that sorts by time; years beyond 9999 are cut, as their text would sort before all others. */
export function utcText(micros: number): string {
  const ms = Math.min(Math.floor(micros / 1000), Date.UTC(9999, 11, 31));
  return new Date(ms).toISOString().replace("Z", "+00:00");
}

/** An expiry that cannot be read is none (sync-and-xrpc §5.4, later versions). */
export function isExpired(exp: string | null | undefined, nowMs: number): boolean {
  const micros = microsOf(exp);
  return micros !== undefined && micros <= nowMs * 1000;
}
