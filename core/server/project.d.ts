// What the build makes of a project; see build.ts.
declare module "#happyview/project" {
  export const layers: readonly import("../config/define.ts").UserConfigLayers[];
  export const files: Readonly<Record<string, readonly import("../resources/files.ts").SourceFile[]>>;
}
