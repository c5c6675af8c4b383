// @ts-check
import { relative } from "node:path";
import { intro } from "@clack/prompts";
import { help, readArguments } from "./arguments.mjs";
import { Failure } from "./failure.mjs";
import { version, writeProject } from "./project.mjs";
import { askFolder, askTemplate } from "./questions.mjs";
import { resolveTarget } from "./target.mjs";
import { findTemplate } from "./templates.mjs";

/** @param {string[]} argv */
export async function main(argv) {
  try {
    const args = readArguments(argv, process.env);
    if (args.help) return print(help);
    if (args.version) return print(`${version}\n`);
    const made = await create(args, process.cwd());
    print(args.json ? `${JSON.stringify(made)}\n` : nextSteps(made));
  } catch (error) {
    report(error, argv.includes("--json"));
  }
}

/**
 * @param {import("./arguments.mjs").Arguments} args
 * @param {string} cwd
 */
async function create(args, cwd) {
  const isAsking = !args.yes && !args.json && Boolean(process.stdin.isTTY && process.stdout.isTTY);
  // What was typed is checked before the first question.
  let target = args.folder === undefined ? undefined : resolveTarget(args.folder, cwd);
  let template = args.template === undefined ? undefined : findTemplate(args.template);
  if (isAsking && !(target && template)) intro("A new HappyView project");
  target ??= resolveTarget(isAsking ? await askFolder(cwd) : "my-appview", cwd);
  template ??= findTemplate(isAsking ? await askTemplate() : "minimal");
  const files = writeProject({ ...target, template: template.name, happyview: args.happyview });
  const enter = relative(cwd, target.path);
  const next = [...(enter === "" ? [] : [`cd ${enter}`]), "npm install", "npm run dev"];
  return {
    name: target.name,
    path: target.path,
    template: template.name,
    files,
    next,
    query: template.query,
  };
}

/** @param {Awaited<ReturnType<typeof create>>} made */
function nextSteps({ name, template, files, next, query }) {
  return `
  ${name} is ready: ${files.length} files from the template ${template}.

  Next:
${next.map((step) => `    ${step}`).join("\n")}

  Then try:
    curl http://localhost:3000/xrpc/${query}
    npm test

  README.md says what each file is for.

`;
}

/**
 * @param {unknown} error
 * @param {boolean} json
 */
function report(error, json) {
  process.exitCode = 1;
  if (!(error instanceof Failure)) throw error;
  const { code, message, hint } = error;
  if (json) print(`${JSON.stringify({ error: { code, message, hint } })}\n`);
  else process.stderr.write(`\n  ${message}\n  → ${hint}\n\n`);
}

/** @param {string} text */
function print(text) {
  process.stdout.write(text);
}
