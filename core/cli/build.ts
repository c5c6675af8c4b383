import { resolve } from "node:path";
import { defineCommand } from "citty";
import { HappyViewError } from "../errors.ts";
import { createLogger } from "../log.ts";
import { check } from "./check.ts";
import { commonArgs, createOutput, fail } from "./output.ts";

const presets = ["node", "bun", "docker"] as const;

export const buildCommand = defineCommand({
  meta: { name: "build", description: "Bundle the project into .output, ready to run without this package" },
  args: {
    ...commonArgs,
    preset: { type: "enum", options: [...presets], default: "node", description: "What the output runs on" },
  },
  async run({ args }) {
    try {
      const { problems } = await check(args.root);
      const first = problems[0];
      if (first)
        throw new HappyViewError("CONFIG_INVALID", {
          message: problems.map((problem) => problem.message).join("\n  "),
          hint: first.hint ?? "correct the files; `happyview check` repeats this list",
        });
      // Loaded here only: the bundler is by far the largest thing we depend on.
      const { build } = await import("../server/build.ts");
      const preset = presets.find((name) => name === args.preset) ?? "node";
      const built = await build({
        root: resolve(args.root),
        preset,
        log: createLogger(args.json ? { json: true } : {}),
      });
      createOutput(args).result(built, `\n  built ${built.outDir}\n  run it with: ${built.command}\n`);
    } catch (error) {
      fail(error, args);
    }
  },
});
