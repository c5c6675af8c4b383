/** C's broken-down time: `struct tm` is nine 32-bit fields, then the offset from UTC in seconds. */
export interface Calendar {
  second: number;
  minute: number;
  hour: number;
  day: number;
  month: number;
  year: number;
  weekday: number;
  yearday: number;
  dst: number;
  offset: number;
}

const dayMs = 86_400_000;
const days = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");
const months = "January February March April May June July August September October November December".split(
  " ",
);

export function toCalendar(seconds: bigint, zone: "utc" | "local"): Calendar {
  const date = new Date(Number(seconds) * 1000);
  if (zone === "utc") return fields(date, 0, 0);
  const offset = -date.getTimezoneOffset();
  const shifted = new Date(date.getTime() + offset * 60_000);
  const standard = -Math.max(
    new Date(date.getFullYear(), 0, 1).getTimezoneOffset(),
    new Date(date.getFullYear(), 6, 1).getTimezoneOffset(),
  );
  return fields(shifted, offset > standard ? 1 : 0, offset * 60);
}

/** Seconds since the epoch of a local `struct tm`, whose fields may be out of range. */
export function fromCalendar(heap: Uint32Array, tm: number): bigint {
  const c = readDate(heap, tm);
  const ms = new Date(c.year, c.month, c.day, c.hour, c.minute, c.second).getTime();
  return Number.isNaN(ms) ? -1n : BigInt(Math.floor(ms / 1000));
}

export function writeCalendar(heap: Uint32Array, tm: number, c: Calendar): void {
  const at = tm >> 2;
  const { second, minute, hour, day, month, year, weekday, yearday, dst, offset } = c;
  const values = [second, minute, hour, day, month, year - 1900, weekday, yearday, dst, offset];
  for (const [i, value] of values.entries()) heap[at + i] = value | 0;
}

export function readDate(heap: Uint32Array, tm: number): Calendar {
  const at = (i: number): number => (heap[(tm >> 2) + i] ?? 0) | 0;
  const time = { second: at(0), minute: at(1), hour: at(2), day: at(3), month: at(4), year: at(5) + 1900 };
  return { ...time, weekday: at(6), yearday: at(7), dst: at(8), offset: at(9) };
}

/** `strftime` in the C locale, for the conversions Lua allows. */
export function formatDate(format: string, c: Calendar): string {
  return format.replace(/%[EO]?(.)/gs, (whole, letter: string) => convert(letter, c) ?? whole);
}

function convert(letter: string, c: Calendar): string | undefined {
  const two = (n: number): string => String(n).padStart(2, "0");
  const again = (format: string): string => formatDate(format, c);
  const hour12 = c.hour % 12 === 0 ? 12 : c.hour % 12;
  const day = days[c.weekday] ?? "?";
  const month = months[c.month] ?? "?";
  const iso = isoWeek(c);
  const zone = Math.abs(c.offset) / 60;
  switch (letter) {
    case "a":
      return day.slice(0, 3);
    case "A":
      return day;
    case "b":
    case "h":
      return month.slice(0, 3);
    case "B":
      return month;
    case "c":
      return again("%a %b %e %H:%M:%S %Y");
    case "C":
      return two(Math.floor(c.year / 100));
    case "d":
      return two(c.day);
    case "D":
    case "x":
      return again("%m/%d/%y");
    case "e":
      return String(c.day).padStart(2, " ");
    case "F":
      return again("%Y-%m-%d");
    case "g":
      return two(iso.year % 100);
    case "G":
      return String(iso.year);
    case "H":
      return two(c.hour);
    case "I":
      return two(hour12);
    case "j":
      return String(c.yearday + 1).padStart(3, "0");
    case "m":
      return two(c.month + 1);
    case "M":
      return two(c.minute);
    case "n":
      return "\n";
    case "p":
      return c.hour < 12 ? "AM" : "PM";
    case "r":
      return again("%I:%M:%S %p");
    case "R":
      return again("%H:%M");
    case "S":
      return two(c.second);
    case "t":
      return "\t";
    case "T":
    case "X":
      return again("%H:%M:%S");
    case "u":
      return String(c.weekday === 0 ? 7 : c.weekday);
    case "U":
      return two(Math.floor((c.yearday + 7 - c.weekday) / 7));
    case "V":
      return two(iso.week);
    case "w":
      return String(c.weekday);
    case "W":
      return two(Math.floor((c.yearday + 7 - ((c.weekday + 6) % 7)) / 7));
    case "y":
      return two(c.year % 100);
    case "Y":
      return String(c.year);
    case "z":
      return (c.offset < 0 ? "-" : "+") + two(Math.floor(zone / 60)) + two(zone % 60);
    case "Z":
      return c.offset === 0 ? "GMT" : again("%z");
    case "%":
      return "%";
    default:
      return undefined;
  }
}

function isoWeek(c: Calendar): { year: number; week: number } {
  const thursday = new Date(Date.UTC(c.year, c.month, c.day + 4 - (c.weekday === 0 ? 7 : c.weekday)));
  const year = thursday.getUTCFullYear();
  return { year, week: Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / dayMs / 7) + 1 };
}

function fields(date: Date, dst: number, offset: number): Calendar {
  const year = date.getUTCFullYear();
  return {
    second: date.getUTCSeconds(),
    minute: date.getUTCMinutes(),
    hour: date.getUTCHours(),
    day: date.getUTCDate(),
    month: date.getUTCMonth(),
    year,
    weekday: date.getUTCDay(),
    yearday: Math.floor((date.getTime() - Date.UTC(year, 0, 1)) / dayMs),
    dst,
    offset,
  };
}
