import type { SourceFile } from "../resources/files.ts";

/** The key of the config, and of the resources that are made of it. */
export const labelersKey = "labelers";

/** The entries as sources of resources, so that they are planned and applied like files. */
export function labelerSources(dids: readonly string[]): Record<string, SourceFile[]> {
  return { [labelersKey]: dids.map((did) => ({ path: did, name: `${labelersKey}: ${did}`, text: "" })) };
}
