import { maskCount, type } from "./constants.ts";
import type { Lua } from "./wasm.ts";

/** No count of a hook that is ever set otherwise. */
const probe = 0x5ca1ab1e;
/** More than a lua_State has. */
const stateBytes = 512;

/**
 * Lua counts the instructions until the next hook apart for each coroutine: many short ones would never come to theirs.
 * So whoever resumes a coroutine hands it the rest of its own count, and takes back what that left of it.
 */
export interface SharedCount {
  /** `give(co)` in Lua: the running coroutine's count for `co`. */
  give: number;
  /** `take(co)`: the count of `co` for the running coroutine. */
  take: number;
  /** Finds where a state has its count. To be called before its hook is set. */
  learn(L: number): void;
}

export function createSharedCount({ api, heap, pointer }: Lua): SharedCount {
  /** Of `hookcount` in a lua_State, in words. */
  let offset: number | undefined;
  const copy = (fromRunning: boolean): number =>
    pointer(
      (state) => {
        const L = state as number;
        if (offset === undefined || api.lua_type(L, 1) !== type.thread) return 0;
        const running = (L >> 2) + offset;
        const other = (api.lua_topointer(L, 1) >> 2) + offset;
        const { u32 } = heap;
        if (fromRunning) u32[other] = u32[running] ?? 1;
        else u32[running] = u32[other] ?? 1;
        return 0;
      },
      1,
      true,
    );
  return {
    give: copy(true),
    take: copy(false),
    learn(L) {
      if (offset !== undefined) return;
      // Only where a hook is set does it count; none runs before the next one is set.
      api.lua_sethook(L, 0, maskCount, probe);
      const words = heap.u32.subarray(L >> 2, (L + stateBytes) >> 2);
      const first = words.indexOf(probe);
      // basehookcount, from which each count begins, and hookcount behind it.
      if (first < 0 || words[first + 1] !== probe || words.indexOf(probe, first + 2) >= 0)
        throw new Error("a Lua state does not have its count of instructions where it is looked for");
      offset = first + 1;
    },
  };
}
