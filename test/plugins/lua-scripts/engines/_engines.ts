import { createUtilities } from "../../../../plugins/lua-scripts/api/utilities.ts";
import type { Engine, HostApi } from "../../../../plugins/lua-scripts/engine/engine.ts";
import { createFengariEngine } from "../../../../plugins/lua-scripts/engine/fengari/index.ts";
import { now } from "../engine/_run.ts";

export function createFengari(api: HostApi = {}): Engine {
  let tick = 0;
  return createFengariEngine({
    utilities: createUtilities({ now: () => now, random: () => 0.5 }),
    api,
    seed: () => [BigInt(++tick), 0n],
  });
}
