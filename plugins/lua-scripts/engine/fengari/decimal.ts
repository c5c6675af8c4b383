/**
 * Numbers as text as C's printf writes them, which is what Lua prints. JavaScript's own methods differ: `1e+4` for
 * `1e+04`, the upper of two equally near values for the even one, other places where exponents begin.
 */

/** What stands between the percent sign and the conversion. */
export interface Layout {
  flags: string;
  width: number;
  precision: number | undefined;
}

/** A float by `%.14g`, as `tostring` and `..` print it: one that is a whole number keeps a point. */
export function floatText(value: number): string {
  const text = sign(value) + significant(Math.abs(value), 14, false);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/** By `%d`, `%o` or `%x`: in base 8 and 16 a negative one is shown as its 64 bits. */
export function formatInteger(value: bigint, base: 8 | 10 | 16, layout: Layout): string {
  const { flags, precision } = layout;
  const size = base !== 10 ? BigInt.asUintN(64, value) : value < 0n ? -value : value;
  const isMarked = flags.includes("#");
  let digits = precision === 0 && value === 0n ? "" : size.toString(base).padStart(precision ?? 1, "0");
  if (isMarked && base === 8 && !digits.startsWith("0")) digits = `0${digits}`;
  const prefix = base === 10 ? sign(value, flags) : isMarked && base === 16 && value !== 0n ? "0x" : "";
  return pad(prefix, digits, layout, precision === undefined);
}

/** By `%e`, `%f` or `%g`. */
export function formatFloat(value: number, conversion: "e" | "f" | "g", layout: Layout): string {
  const { flags, precision = 6 } = layout;
  const size = Math.abs(value);
  const keepsPoint = flags.includes("#");
  const digits =
    conversion === "g"
      ? significant(size, precision, keepsPoint)
      : conversion === "f"
        ? fixed(size, precision, keepsPoint)
        : exponential(size, precision, keepsPoint);
  return pad(sign(value, flags), digits, layout, Number.isFinite(value));
}

/** Fills up to the width: with spaces on either side, or with zeros behind the sign. */
export function pad(prefix: string, text: string, { flags, width }: Layout, zeros: boolean): string {
  if (flags.includes("-")) return (prefix + text).padEnd(width);
  if (zeros && flags.includes("0")) return prefix + text.padStart(width - prefix.length, "0");
  return (prefix + text).padStart(width);
}

function sign(value: number | bigint, flags = ""): string {
  if (value < 0 || Object.is(value, -0)) return "-";
  return flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
}

function fixed(size: number, precision: number, keepsPoint: boolean): string {
  if (!Number.isFinite(size)) return special(size);
  const all = rounded(exact(size), precision).padStart(precision + 1, "0");
  const whole = all.slice(0, all.length - precision);
  return precision > 0 || keepsPoint ? `${whole}.${all.slice(all.length - precision)}` : whole;
}

function exponential(size: number, precision: number, keepsPoint: boolean): string {
  if (!Number.isFinite(size)) return special(size);
  const { digits, exponent } = scientific(size, precision);
  const point = precision > 0 || keepsPoint ? "." : "";
  const power = String(Math.abs(exponent)).padStart(2, "0");
  return `${digits.charAt(0)}${point}${digits.slice(1)}e${exponent < 0 ? "-" : "+"}${power}`;
}

function significant(size: number, precision: number, keepsZeros: boolean): string {
  if (!Number.isFinite(size)) return special(size);
  const count = Math.max(precision, 1);
  const { exponent } = scientific(size, count - 1);
  const text =
    exponent < -4 || exponent >= count
      ? exponential(size, count - 1, keepsZeros)
      : fixed(size, count - 1 - exponent, keepsZeros);
  if (keepsZeros || !text.includes(".")) return text;
  const [digits = "", power] = text.split("e");
  const short = digits.replace(/\.?0+$/, "");
  return power === undefined ? short : `${short}e${power}`;
}

function special(size: number): string {
  return Number.isNaN(size) ? "nan" : "inf";
}

/** `digits` behind the first are behind the point. */
function scientific(size: number, precision: number): { digits: string; exponent: number } {
  if (size === 0) return { digits: "0".repeat(precision + 1), exponent: 0 };
  const value = exact(size);
  const exponent = value.digits.toString().length - 1 - value.decimals;
  const digits = rounded(value, precision - exponent);
  // 9.99 may become 10.0.
  return digits.length > precision + 1
    ? { digits: digits.slice(0, -1), exponent: exponent + 1 }
    : { digits, exponent };
}

/** A float is digits × 10^-decimals, without a rest. */
interface Exact {
  digits: bigint;
  decimals: number;
}

function exact(size: number): Exact {
  const bits = BigInt.asUintN(64, new BigInt64Array(new Float64Array([size]).buffer)[0] ?? 0n);
  const exponent = Number(bits >> 52n);
  const fraction = BigInt.asUintN(52, bits);
  const significand = exponent === 0 ? fraction : fraction | (1n << 52n);
  const power = Math.max(exponent, 1) - 1075;
  return power >= 0
    ? { digits: significand << BigInt(power), decimals: 0 }
    : { digits: significand * 5n ** BigInt(-power), decimals: -power };
}

/** The digits with so many behind the point, which may be less than none; between two equally near ones the even. */
function rounded({ digits, decimals }: Exact, keep: number): string {
  if (keep >= decimals) return digits.toString() + "0".repeat(keep - decimals);
  const unit = 10n ** BigInt(decimals - keep);
  const quotient = digits / unit;
  const twice = 2n * (digits % unit);
  const isUp = twice > unit || (twice === unit && quotient % 2n === 1n);
  return (isUp ? quotient + 1n : quotient).toString();
}
