// What the build makes of a project; see build.ts.
declare module "#happyview/project" {
  import type { UserConfigLayers } from "../config/define.ts";
  import type { SourceFile } from "../resources/files.ts";

  export const layers: readonly UserConfigLayers[];
  export const files: Readonly<Record<string, readonly SourceFile[]>>;
}
