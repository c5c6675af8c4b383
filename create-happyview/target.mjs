// @ts-check
import { readdirSync } from "node:fs";
import { basename, resolve } from "node:path";
import { Failure } from "./failure.mjs";

/** npm refuses to install a package into a project of the same name, and these two names altogether. */
const taken = new Set(["happyview", "vitest", "node_modules", "favicon.ico"]);

/**
 * Where the project goes and what it is called.
 * @param {string} folder as typed: a name, a path, or "." for the working directory
 * @param {string} cwd
 * @returns {{ path: string; name: string }}
 */
export function resolveTarget(folder, cwd) {
  const path = resolve(cwd, folder);
  const name = basename(path);
  const problem = nameProblem(name);
  if (problem)
    throw new Failure("NAME_INVALID", {
      message: `"${name}" cannot be the name of a project: ${problem}`,
      hint: `use for example "${suggest(name)}"`,
    });
  checkEmpty(path, folder);
  return { path, name };
}

/**
 * The rules of npm for package names.
 * @param {string} name
 * @returns {string | undefined}
 */
function nameProblem(name) {
  if (name.length > 214) return "it is longer than 214 characters";
  if (taken.has(name)) return "npm does not accept it";
  if (!/^[a-z0-9]/.test(name)) return "it must start with a lower-case letter or a digit";
  if (!/^[a-z0-9._~-]+$/.test(name)) return "only lower-case letters, digits and . _ ~ - are allowed";
  return undefined;
}

/** @param {string} name */
function suggest(name) {
  const clean = name
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[^a-z0-9]+|-+$/g, "")
    .slice(0, 60);
  return nameProblem(clean) === undefined ? clean : "my-appview";
}

/**
 * @param {string} path
 * @param {string} folder
 */
function checkEmpty(path, folder) {
  const others = listFolder(path, folder).filter((entry) => entry !== ".git");
  if (others.length === 0) return;
  const shown = others.slice(0, 3).join(", ") + (others.length > 3 ? ` and ${others.length - 3} more` : "");
  throw new Failure("FOLDER_NOT_EMPTY", {
    message: `the folder ${folder} is not empty: it holds ${shown}`,
    hint: "choose another name, or empty the folder first; nothing was written",
  });
}

/**
 * @param {string} path
 * @param {string} folder
 */
function listFolder(path, folder) {
  try {
    return readdirSync(path);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "ENOENT") return [];
    throw new Failure("FOLDER_UNUSABLE", {
      message: code === "ENOTDIR" ? `${folder} is a file` : `the folder ${folder} cannot be read`,
      hint: "choose another name",
      cause,
    });
  }
}
