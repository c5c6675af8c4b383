import type { Logger } from "../log.ts";
import { resourceFolders, type SourceFile } from "./files.ts";
import type { ResourceKind } from "./kind.ts";
import { applyPlan, planResources, type ResourcePlan, type ResourceProblem } from "./reconcile.ts";

/** The kinds of resources this instance knows, and the way of files into them. */
export interface Resources {
  add<Value>(kind: ResourceKind<Value>): void;
  kinds(): readonly ResourceKind[];
  plan(files: Readonly<Record<string, readonly SourceFile[]>>): Promise<ResourcePlan>;
  /** Makes the stored resources agree with the files of each folder given; says in the log what it did and what it refused. */
  deploy(files: Readonly<Record<string, readonly SourceFile[]>>): Promise<ResourceProblem[]>;
}

export function createResources(log: Logger): Resources {
  const kinds: ResourceKind[] = [];
  let deploying: Promise<unknown> = Promise.resolve();

  async function plan(files: Readonly<Record<string, readonly SourceFile[]>>): Promise<ResourcePlan> {
    const whole: ResourcePlan = { steps: [], problems: [] };
    for (const [folder, list] of Object.entries(files)) {
      const kind = kinds.find((k) => k.folder === folder);
      if (!kind && list.length > 0) whole.problems.push({ file: folder, ...untaken(folder, list.length) });
      if (!kind) continue;
      const part = await planResources(kind, list);
      whole.steps.push(...part.steps);
      whole.problems.push(...part.problems);
    }
    return whole;
  }

  async function deploy(files: Readonly<Record<string, readonly SourceFile[]>>): Promise<ResourceProblem[]> {
    const planned = await plan(files);
    const failed = await applyPlan(planned);
    const problems = [...planned.problems, ...failed];
    const done = { create: "added", update: "updated", delete: "removed" };
    for (const step of planned.steps) {
      if (failed.some((problem) => problem.file === `${step.kind} ${step.id}`)) continue;
      if (step.action !== "keep")
        log.info(`${step.kind} ${step.id} ${done[step.action]}`, step.note ? { note: step.note } : undefined);
      else if (step.note) log.warn(`${step.kind} ${step.id} left as it is`, { note: step.note });
    }
    for (const { message, hint } of problems) log.error(message, hint ? { hint } : undefined);
    return problems;
  }

  return {
    // Only the kind itself hands its values from parse to put, so what they are does not matter here.
    add: (kind) => void kinds.push(kind as unknown as ResourceKind),
    kinds: () => kinds,
    plan,
    deploy(files) {
      const next = deploying.then(() => deploy(files));
      deploying = next.catch(() => undefined);
      return next;
    },
  };
}

/** Of what no plugin in the config takes. */
function untaken(folder: string, count: number): { message: string; hint: string } {
  if (!resourceFolders.includes(folder))
    return {
      message: `\`${folder}\` of the config has ${count} entries, but no plugin in the config takes them`,
      hint: `add ${folder}() to \`plugins\` in happyview.config.ts`,
    };
  return {
    message: `${folder}/ holds ${count} files, but no plugin in the config takes them`,
    hint: `add the plugin that reads ${folder}/ to \`plugins\` in happyview.config.ts`,
  };
}
