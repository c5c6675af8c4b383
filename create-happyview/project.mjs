// @ts-check
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { Failure } from "./failure.mjs";

const templatesFolder = fileURLToPath(new URL("templates", import.meta.url));

/** The version of this package, and of the happyview that a project starts with. */
export const version = /** @type {{ version: string }} */ (
  JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"))
).version;

/**
 * Writes a project; the folder is empty or missing.
 * @param {{ path: string; name: string; template: string; happyview: string | undefined }} project
 * @returns {string[]} the files, relative to the project
 */
export function writeProject({ path, name, template, happyview = `^${version}` }) {
  const files = new Map([
    ["package.json", `${JSON.stringify(manifest(name, happyview), null, 2)}\n`],
    ...readTemplate("common", name),
    ...readTemplate(template, name),
  ]);
  try {
    for (const [file, text] of files) {
      mkdirSync(dirname(join(path, file)), { recursive: true });
      writeFileSync(join(path, file), text);
    }
  } catch (cause) {
    throw new Failure("FOLDER_UNUSABLE", {
      message: `the project cannot be written to ${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
      hint: "check the permissions and the free space of that folder, remove what was written, and try again",
      cause,
    });
  }
  return [...files.keys()].toSorted();
}

/**
 * @param {string} name
 * @param {string} happyview
 */
function manifest(name, happyview) {
  return {
    name,
    version: "0.0.0",
    private: true,
    type: "module",
    engines: { node: ">=22.15" },
    scripts: {
      dev: "happyview dev",
      check: "happyview check",
      test: "happyview test && vitest run --exclude=test/scripts/**",
      build: "happyview build",
      start: "happyview start",
    },
    dependencies: { happyview },
    // vite is what vitest runs on: a range of it would bring whatever is newest on the day.
    devDependencies: { "@types/node": "24.19.2", vite: "8.3.8", vitest: "4.1.12" },
  };
}

/**
 * A leading `_` stands for the dot of names that npm leaves out of packages.
 * @param {string} template
 * @param {string} name
 * @returns {[string, string][]}
 */
function readTemplate(template, name) {
  const folder = join(templatesFolder, template);
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const source = join(entry.parentPath, entry.name);
      const file = relative(folder, source).split(sep).join("/").replace(/^_/, ".");
      return [file, readFileSync(source, "utf8").replaceAll("{{name}}", name)];
    });
}
