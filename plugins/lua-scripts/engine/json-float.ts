/** A float keeps its point, as it does in the original: `5.0` is not `5`. JSON has no NaN or infinity. */
export function formatFloat(value: number): string {
  if (!Number.isFinite(value)) return "null";
  if (Object.is(value, -0)) return "-0.0";
  const text = String(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}
