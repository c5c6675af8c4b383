import { defu } from "defu";
import type { UserConfig, UserConfigLayers } from "../config/define.ts";
import type { Mode } from "../config/resolve.ts";

/** What a config file exports; c12 calls a function. */
export type Layer = UserConfigLayers | (() => UserConfigLayers | Promise<UserConfigLayers>);

/** Merges a project's config and those it extends, each with its values for the mode, as c12 does when it loads them. */
export async function mergeLayers(layers: readonly Layer[], mode: Mode): Promise<UserConfig> {
  const configs = await Promise.all(layers.map((layer) => (typeof layer === "function" ? layer() : layer)));
  const plain = configs.map(
    ({ extends: _extends, $development, $production, $test, ...config }): UserConfig => {
      const own = { development: $development, production: $production, test: $test }[mode];
      return defu(own ?? {}, config);
    },
  );
  const [first = {}, ...others] = plain;
  return defu(first, ...others) as UserConfig; // defu's type of many merged configs says no more than this
}
