import { databaseModules } from "./database.ts";
import { internalModules } from "./internal.ts";
import { networkModules } from "./network.ts";

/** What `require` finds without a file in scripts/lib. */
export const modules: Readonly<Record<string, string>> = {
  ...internalModules,
  ...databaseModules,
  ...networkModules,
};
