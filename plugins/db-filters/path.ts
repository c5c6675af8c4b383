/** A field of a record: names are keys of objects, numbers are places in arrays. */
export interface FieldPath {
  readonly text: string;
  readonly steps: readonly (string | number)[];
}

/** How messages describe what a path may be (lua §4.1); clients match on it. */
export const pathRule =
  "use alphanumeric names with optional dot notation and array indices (e.g. 'name', 'author.handle', 'tags[0]')";

const pattern = /^\w+(?:\[\d+\])*(?:\.\w+(?:\[\d+\])*)*$/;
const maxLength = 512;
const maxSteps = 64;
/** The largest place Postgres can ask for; no record has that many items. */
const maxIndex = 2 ** 31 - 1;

/** Undefined for what is no path: segments of letters, digits and `_`, each with any number of `[digits]`, joined by dots. */
export function parsePath(text: string): FieldPath | undefined {
  if (text.length > maxLength || !pattern.test(text)) return undefined;
  const steps = Array.from(text.matchAll(/\[(\d+)\]|(\w+)/g), ([, index, name]) =>
    index === undefined ? (name ?? "") : Math.min(Number(index), maxIndex),
  );
  return steps.length > maxSteps ? undefined : { text, steps };
}
