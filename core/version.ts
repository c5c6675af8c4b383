import manifest from "../package.json" with { type: "json" };

/** The version of this package, as `/config` and `happyview --version` show it. */
export const version: string = manifest.version;
