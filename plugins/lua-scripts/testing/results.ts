export interface CaseResult {
  name: string;
  ok: boolean;
  error?: string;
}

export interface FileResult {
  file: string;
  cases: CaseResult[];
}

/** What a file that is no list of tests counts as. */
export function brokenFile(error: string): CaseResult[] {
  return [{ name: "the file", ok: false, error }];
}

export function describeResults(results: readonly FileResult[]): string {
  const lines = results.flatMap(({ file, cases }) => [
    file,
    ...cases.map(({ name, ok, error }) => `  ${ok ? "✓" : "✗"} ${name}${error ? `\n      ${error}` : ""}`),
  ]);
  const all = results.flatMap(({ cases }) => cases);
  const failed = all.filter((result) => !result.ok).length;
  return [...lines, "", `${all.length - failed} passed, ${failed} failed`].join("\n");
}
