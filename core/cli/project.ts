import { readFolder, resourceFolders, type SourceFile } from "../resources/files.ts";

/** The resource files of a project, by folder. */
export async function readProject(root: string): Promise<Record<string, SourceFile[]>> {
  const entries = await Promise.all(
    resourceFolders.map(async (folder) => [folder, await readFolder(root, folder)] as const),
  );
  return Object.fromEntries(entries);
}
