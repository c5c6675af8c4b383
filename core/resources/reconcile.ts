import { explain, isHappyViewError } from "../errors.ts";
import { hashOf, type SourceFile } from "./files.ts";
import type { ResourceKind, StoredResource } from "./kind.ts";

export interface ResourceStep {
  action: "create" | "update" | "delete" | "keep";
  kind: string;
  id: string;
  /** Why a difference is left alone, or what is overwritten. */
  note?: string;
}

export interface ResourceProblem {
  file: string;
  message: string;
  hint?: string | undefined;
}

export interface ResourcePlan {
  steps: (ResourceStep & { apply?: () => Promise<void> })[];
  problems: ResourceProblem[];
}

/**
 * What it takes to make the stored resources agree with the files. Rows made by an admin are never removed; a row that
 * an admin changed after it was deployed stays as it is until its file changes too (the file's hash is remembered).
 * A file that cannot be read leaves the version that was deployed last in place.
 */
export async function planResources<Value>(
  kind: ResourceKind<Value>,
  files: readonly SourceFile[],
): Promise<ResourcePlan> {
  const plan: ResourcePlan = { steps: [], problems: [] };
  const stored = new Map((await kind.stored()).map((row) => [row.id, row]));
  const wanted = new Map<string, SourceFile>();
  const broken = new Set<string>();

  for (const file of files) {
    try {
      const id = kind.idOf(file.path);
      if (id === null) continue;
      const other = wanted.get(id);
      if (other)
        plan.problems.push({
          file: file.name,
          message: `${file.name} and ${other.name} are the same ${kind.kind} ${id}`,
          hint: "keep one of them",
        });
      else wanted.set(id, file);
    } catch (error) {
      plan.problems.push(problem(file, error));
    }
  }
  for (const [id, file] of wanted) {
    if (file.error) {
      broken.add(id);
      plan.problems.push({ file: file.name, ...file.error });
      continue;
    }
    try {
      const value = await kind.parse(file, id);
      plan.steps.push(stepFor(kind, id, value, hashOf(file, kind.extras?.(id)), stored.get(id)));
    } catch (error) {
      broken.add(id);
      plan.problems.push(problem(file, error));
    }
  }
  for (const row of stored.values())
    if (row.origin === "config" && !wanted.has(row.id) && !broken.has(row.id))
      plan.steps.push({ action: "delete", kind: kind.kind, id: row.id, apply: () => kind.remove(row.id) });
  return plan;
}

/** Carries a plan out, step by step; a step that fails becomes a problem and the others go on. */
export async function applyPlan(plan: ResourcePlan): Promise<ResourceProblem[]> {
  const failed: ResourceProblem[] = [];
  for (const step of plan.steps) {
    try {
      await step.apply?.();
    } catch (error) {
      failed.push({ file: `${step.kind} ${step.id}`, message: explain(error) });
    }
  }
  return failed;
}

function stepFor<Value>(
  kind: ResourceKind<Value>,
  id: string,
  value: Value,
  hash: string,
  row: StoredResource | undefined,
): ResourcePlan["steps"][number] {
  const apply = (): Promise<void> => kind.put(id, value, { origin: "config", configHash: hash });
  if (!row) return { action: "create", kind: kind.kind, id, apply };
  if (row.configHash === hash)
    return row.origin === "config"
      ? { action: "keep", kind: kind.kind, id }
      : {
          action: "keep",
          kind: kind.kind,
          id,
          note: "changed by an admin since it was deployed; its file has not changed",
        };
  return {
    action: "update",
    kind: kind.kind,
    id,
    apply,
    ...(row.origin === "admin" ? { note: "overwrites a version made by an admin" } : {}),
  };
}

function problem(file: SourceFile, error: unknown): ResourceProblem {
  const hint = isHappyViewError(error) ? error.hint : undefined;
  return { file: file.name, message: error instanceof Error ? error.message : String(error), hint };
}
