import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { defineCommand } from "citty";
import { HappyViewError } from "../errors.ts";
import { commonArgs, fail } from "./output.ts";

export const startCommand = defineCommand({
  meta: { name: "start", description: "Run what `happyview build` made" },
  args: commonArgs,
  run({ args }) {
    const entry = join(resolve(args.root), ".output", "server", "index.mjs");
    if (!existsSync(entry))
      fail(
        new HappyViewError("CONFIG_NOT_FOUND", {
          message: `there is no build in ${resolve(args.root)}/.output`,
          hint: "run `happyview build` first",
        }),
        args,
      );
    // The build runs in a process of its own, as it does in production: signals go through, its exit code is ours.
    const child = spawn(process.execPath, [entry], { cwd: resolve(args.root), stdio: "inherit" });
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => child.kill(signal));
    child.on("exit", (code) => process.exit(code ?? 1));
  },
});
