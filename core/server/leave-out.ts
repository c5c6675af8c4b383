import type { Plugin } from "rollup";

const stub = "\0happyview:no-config-loader";

/**
 * The package also has what finds and compiles a project's config and its test files. In the output the config is
 * compiled already, and no tests are run: without this, c12, jiti and their dependencies would be copied beside it.
 */
export function leaveOutConfigLoader(): Plugin {
  return {
    name: "happyview:leave-out",
    resolveId: {
      order: "pre",
      handler: (source) =>
        /\/config\/(load|import-file)\.[jt]s$/.test(source) ? { id: stub, moduleSideEffects: false } : null,
    },
    load: (id) =>
      id === stub
        ? `export function loadConfig() { throw new Error("the config of a built project cannot be loaded again"); }
           export function importFile() { throw new Error("a built project has no files to load"); }`
        : null,
  };
}

/** Imported only where the config asks for what they do; whoever wants that installs them. */
const optional = new Set(["@atproto/tap"]);

/** A package that need not be there is left to be found, or missed, when the output runs; one that is there goes along. */
export function allowMissingPackages(): Plugin {
  return {
    name: "happyview:allow-missing",
    resolveId: {
      order: "pre",
      async handler(source, importer) {
        if (!optional.has(source)) return null;
        return (await this.resolve(source, importer, { skipSelf: true })) ?? { id: source, external: true };
      },
    },
  };
}
