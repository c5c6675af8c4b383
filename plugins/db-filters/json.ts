import { FilterError, parseFilter, type Filter } from "./parse.ts";

/** Strangers send these: fewer conditions than a script may use, each of which costs a look into every record. */
const maxConditions = 20;
const maxLength = 8192;

/** A filter as JSON in a query string. */
export function parseJsonFilter(text: string): Filter {
  if (text.length > maxLength) throw new FilterError(`filter is longer than ${maxLength} characters`);
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch (cause) {
    throw new FilterError(`filter is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  return parseFilter(input, { maxConditions });
}
