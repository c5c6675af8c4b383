import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { explain, HappyViewError } from "../errors.ts";

/** A file of the project; `path` is relative to its resource folder, with `/`. */
export interface SourceFile {
  path: string;
  text: string;
  /** How messages name it: relative to the project. */
  name: string;
  /** Why `text` is not what the file holds. */
  error?: { message: string; hint: string };
}

/** The folders of a project that hold resources. */
export const resourceFolders: readonly string[] = ["lexicons", "scripts"];

const maxFileBytes = 1024 * 1024;
const maxFiles = 20_000;

/** Reads a resource folder; a missing one is empty. Hidden files and folders are left out. */
export async function readFolder(root: string, folder: string): Promise<SourceFile[]> {
  const base = join(root, folder);
  const entries = await readdir(base, { recursive: true, withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    },
  );
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(base, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter((path) => !path.split("/").some((part) => part.startsWith(".")))
    .toSorted();
  if (paths.length > maxFiles)
    throw new HappyViewError("RESOURCE_PATH", {
      message: `the folder ${folder} holds ${paths.length} files, more than ${maxFiles}`,
      hint: "point the folder at the lexicons or scripts only",
    });
  return Promise.all(paths.map((path) => readSource(join(base, path), path, `${folder}/${path}`)));
}

export function hashOf(file: SourceFile, extras = ""): string {
  return createHash("sha256").update(file.text).update("\0").update(extras).digest("hex");
}

/** One file that cannot be read is a problem of that file, and the others are served. */
async function readSource(location: string, path: string, name: string): Promise<SourceFile> {
  const refused = (message: string, hint: string): SourceFile => ({
    path,
    name,
    text: "",
    error: { message, hint },
  });
  try {
    const { size } = await stat(location);
    if (size <= maxFileBytes) return { path, name, text: await readFile(location, "utf8") };
    return refused(
      `${name} has ${size} bytes, more than ${maxFileBytes}`,
      "lexicons and scripts are text of at most 1 MiB",
    );
  } catch (error) {
    return refused(`${name} cannot be read: ${explain(error)}`, "check that the file is there and readable");
  }
}
