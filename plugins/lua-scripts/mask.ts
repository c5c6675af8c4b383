/** A text with each secret in it replaced by the name of its variable. */
export type Mask = (text: string) => string;

/** Shorter values, and words that stand for a switch, are no secrets: masking them would make messages unreadable. */
const shortestSecret = 4;
const words = /^(true|false|null|none|nil|info|warn|error|debug)$/i;

/** Less of a secret at the end of a text is not told from chance. */
const shortestPart = 4;

/** What a text that was cut ends with. */
export const cutMark = "…";

/**
 * Masks the values of these variables, also as they stand in JSON and in a URL, and the beginning of one where a text
 * was cut in its midst.
 */
export function createMask(env: Readonly<Record<string, string>>): Mask {
  const names = new Map<string, string>();
  for (const [key, value] of Object.entries(env))
    if (value.length >= shortestSecret && !words.test(value))
      for (const form of formsOf(value)) names.set(form, `<env.${key}>`);
  if (names.size === 0) return (text) => text;
  // The longest first, so that nothing is left of a value that begins with another.
  const forms = [...names.keys()].toSorted((a, b) => b.length - a.length);
  const pattern = new RegExp(forms.map((form) => form.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|"), "g");
  const whole: Mask = (text) => text.replace(pattern, (form) => names.get(form) ?? form);
  return (text) => {
    const masked = whole(text);
    if (!masked.endsWith(cutMark)) return masked;
    const kept = masked.slice(0, -cutMark.length);
    for (const form of forms) {
      const part = partAtEnd(kept, form);
      if (part > 0) return kept.slice(0, -part) + names.get(form) + cutMark;
    }
    return masked;
  };
}

function formsOf(value: string): string[] {
  const forms = [value, JSON.stringify(value).slice(1, -1)];
  try {
    forms.push(encodeURIComponent(value));
  } catch {
    // half a surrogate pair has no form in a URL
  }
  return forms;
}

/** How much of the form's beginning the text ends with. */
function partAtEnd(text: string, form: string): number {
  for (let length = Math.min(form.length - 1, text.length); length >= shortestPart; length--)
    if (text.endsWith(form.slice(0, length))) return length;
  return 0;
}
