/**
 * The text of a JSON object without its member of that name. What stays is not parsed, so numbers keep every digit and
 * the point that makes them floats.
 * @param text an object that `JSON.parse` takes
 */
export function withoutMember(text: string, name: string): string {
  const kept: string[] = [];
  let start = text.indexOf("{") + 1;
  let key = "";
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const char = text[at];
    if (char === '"') {
      const end = endOfString(text, at);
      // Of a member's strings outside of its arrays and objects, the one before the colon is its key.
      if (depth === 0 && key === "") key = text.slice(at, end);
      at = end - 1;
    } else if (char === "{" || char === "[") depth++;
    else if (depth > 0 && (char === "}" || char === "]")) depth--;
    else if (depth === 0 && (char === "," || char === "}")) {
      if (key !== "" && JSON.parse(key) !== name) kept.push(text.slice(start, at));
      if (char === "}") break;
      start = at + 1;
      key = "";
    }
  }
  return `{${kept.join(",")}}`;
}

/** The index behind the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}
