import type { ParameterTypes } from "../lexicons/document.ts";

export type ParamValue = string | number | bigint | boolean | string[];

/** The parameters of a request by name; an `integer` beyond 2^53 is a bigint. */
export type Params = Readonly<Record<string, ParamValue>>;

const maxParams = 1000;

/**
 * Splits a query string as HappyView does: percent-decoded, `+` is no space, a key without `=` is the empty string,
 * repeated keys become an array. Values of declared parameters are coerced; whatever cannot be stays a string
 * (sync-and-xrpc §4.4).
 */
export function parseParams(query: string, types: ParameterTypes): Params {
  const values: Record<string, ParamValue> = Object.create(null) as Record<string, ParamValue>; // no inherited names
  for (const part of query === "" ? [] : query.split("&", maxParams)) {
    if (part === "") continue;
    const at = part.indexOf("=");
    const key = decode(at < 0 ? part : part.slice(0, at));
    const value = at < 0 ? "" : decode(part.slice(at + 1));
    const before = values[key];
    values[key] = before === undefined ? value : [before as string | string[], value].flat(); // nothing is coerced yet
  }
  for (const [key, type] of types) {
    const value = values[key];
    if (typeof value === "string") values[key] = coerce(value, type);
  }
  return values;
}

function coerce(value: string, type: "integer" | "number" | "boolean"): ParamValue {
  if (type === "boolean")
    return value === "true" || value === "1" ? true : value === "false" || value === "0" ? false : value;
  if (type === "integer") return toInt64(value);
  const number = value.trim() === "" ? NaN : Number(value);
  return Number.isFinite(number) && /^[+-]?[\d.eE+-]+$/.test(value) ? number : value;
}

function toInt64(value: string): ParamValue {
  if (!/^[+-]?\d{1,19}$/.test(value)) return value;
  const exact = BigInt(value.startsWith("+") ? value.slice(1) : value);
  if (BigInt.asIntN(64, exact) !== exact) return value;
  return Number.isSafeInteger(Number(exact)) ? Number(exact) : exact;
}

function decode(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return new TextDecoder().decode(percentBytes(text)); // bytes that are not UTF-8 are replaced, as HappyView does
  }
}

function percentBytes(text: string): Uint8Array {
  const source = Buffer.from(text, "utf8");
  const bytes: number[] = [];
  for (let i = 0; i < source.length; i++) {
    const hex = source[i] === 0x25 ? source.toString("latin1", i + 1, i + 3) : "";
    if (/^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes.push(Number.parseInt(hex, 16));
      i += 2;
    } else bytes.push(source[i] ?? 0);
  }
  return Uint8Array.from(bytes);
}
