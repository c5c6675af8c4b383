import { ScriptError } from "../engine/engine.ts";

const alphabet = "234567abcdefghijklmnopqrstuvwxyz";
const length = 13;
const clockIds = 1024;
const maxMicros = (1n << 53n) - 1n;
const isoPattern = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)$/;

/** Timestamp identifiers: 53 bits of microseconds, 10 bits of clock id, written in sortable base 32. */
export interface Tids {
  next(): string;
  toIso(tid: string): string;
  fromIso(text: string): string;
  toMicros(tid: string): bigint;
  fromMicros(micros: bigint): string;
  toNumber(tid: string): bigint;
  fromNumber(number: bigint): string;
}

export function createTids(options: { now: () => number; random: () => number }): Tids {
  let last = 0;
  return {
    next() {
      // Later ones must sort later, also within one microsecond and when the clock is set back.
      last = Math.max(last + 1, Math.floor(options.now() * 1000));
      return write(BigInt(last) * 1024n + BigInt(Math.floor(options.random() * clockIds)));
    },
    toIso(tid) {
      const micros = read(tid) >> 10n;
      const date = new Date(Number(micros / 1000n));
      return `${date.toISOString().slice(0, 19)}.${String(micros % 1_000_000n).padStart(6, "0")}Z`;
    },
    fromIso: (text) => write(parseIso(text) << 10n),
    toMicros: (tid) => read(tid) >> 10n,
    fromMicros(micros) {
      if (micros < 0n || micros > maxMicros) throw new ScriptError(`invalid timestamp: ${micros}`);
      return write(micros << 10n);
    },
    toNumber: read,
    fromNumber(number) {
      if (number < 0n) throw new ScriptError(`invalid TID number: ${number}`);
      return write(number);
    },
  };
}

function write(number: bigint): string {
  let text = "";
  for (let rest = number, i = 0; i < length; i++, rest >>= 5n) text = alphabet[Number(rest & 31n)] + text;
  return text;
}

function read(tid: string): bigint {
  // The first character holds four bits, since the top bit is always zero.
  if (!/^[2-7a-j][2-7a-z]{12}$/.test(tid)) throw new ScriptError(`invalid TID: ${tid}`);
  let number = 0n;
  for (const char of tid) number = number * 32n + BigInt(alphabet.indexOf(char));
  return number;
}

function parseIso(text: string): bigint {
  const parts = isoPattern.exec(text);
  const zone = parts?.[4]?.toUpperCase() ?? "";
  const ms = parts ? Date.parse(`${parts[1]}T${parts[2]}${zone}`) : Number.NaN;
  // Date.parse takes 31 February for 2 March; the day must be the one that was written.
  const day = parts ? new Date(`${parts[1]}T00:00:00Z`) : undefined;
  const exists = day && !Number.isNaN(day.getTime()) && day.toISOString().startsWith(parts?.[1] ?? "?");
  if (Number.isNaN(ms) || ms < 0 || !exists) throw new ScriptError(`invalid ISO 8601: ${text}`);
  return BigInt(ms) * 1000n + BigInt((parts?.[3] ?? "").padEnd(6, "0").slice(0, 6));
}
