// An import statement with a relative path does not resolve in a module that is only declared: its types become `any`.
// oxlint-disable typescript/consistent-type-imports

// What the build makes of a project; see build.ts.
declare module "#happyview/project" {
  export const layers: readonly import("./layers.ts").Layer[];
  export const files: Readonly<Record<string, readonly import("../resources/files.ts").SourceFile[]>>;
}
