/** What the product cannot do yet, by `file: name`. A case that begins to pass fails, and its line goes. */
export const pending: Record<string, string> = {};
