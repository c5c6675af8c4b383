import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/** The suites of the HTTP cases proven on HappyView that this version has the features for. */
const suites = [
  "lexicons",
  "http",
  "jetstream",
  "xrpc",
  "lua-values",
  "lua-db",
  "dead-letters",
  "backfill",
  "users",
  "api-clients",
  "settings",
];

const help = `Runs the compatibility cases against the built server, where the folder with them is present.

  npm run compat -- [--suite lexicons,http] [--grep text]

The cases are looked for in ../shared/compat, or in the folder that COMPAT_DIR names.
`;

const { values } = parseArgs({
  options: {
    suite: { type: "string", default: suites.join(",") },
    grep: { type: "string" },
    help: { type: "boolean" },
  },
});
const root = fileURLToPath(new URL("../..", import.meta.url));
const cases = process.env["COMPAT_DIR"] ?? fileURLToPath(new URL("../../../shared/compat", import.meta.url));
const project = fileURLToPath(new URL("../fixture/compat", import.meta.url));

if (values.help) process.stdout.write(help);
else if (!existsSync(`${cases}/run.mjs`))
  process.stdout.write(`no compatibility cases in ${cases}: nothing to run\n`);
else {
  run(["--conditions=happyview-source", `${root}core/cli/main.ts`, "build", "--root", project], {});
  const filter = values.grep === undefined ? [] : ["--grep", values.grep];
  run([`${cases}/run.mjs`, "--target", "ours", "--suite", values.suite, ...filter], {
    OURS_DIR: project,
    OURS_CMD: `${process.execPath} .output/server/index.mjs`,
  });
}

function run(args: string[], env: Record<string, string>): void {
  const { status } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  if (status !== 0) process.exit(status ?? 1);
}
