import { defu } from "defu";
import type { UserConfig, UserConfigLayers } from "../config/define.ts";
import type { Mode } from "../config/resolve.ts";

/** Merges a project's config and those it extends, each with its values for the mode, as c12 does when it loads them. */
export function mergeLayers(layers: readonly UserConfigLayers[], mode: Mode): UserConfig {
  const plain = layers.map(
    ({ extends: _extends, $development, $production, $test, ...config }): UserConfig => {
      const own = { development: $development, production: $production, test: $test }[mode];
      return defu(own ?? {}, config);
    },
  );
  const [first = {}, ...others] = plain;
  return defu(first, ...others) as UserConfig; // defu's type of many merged configs says no more than this
}
