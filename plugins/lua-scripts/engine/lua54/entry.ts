import { exceed, isOver, type ActiveRun } from "./active-run.ts";
import { maskCount, registry, type } from "./constants.ts";
import { EncodeError, TooLargeError } from "./encode.ts";
import { limitText, memoryText } from "./failure.ts";
import { hookInterval } from "./machine.ts";
import { pushText, raise, raising, type Vm } from "./vm.ts";

const step = { loaded: 1, handled: 2 } as const;
const place = { chunk: 1, input: 2, context: 3 } as const;

/**
 * The C function every run starts in, inside its coroutine, so that whatever goes wrong (a full memory, a bad
 * value) is a Lua error. It is called with the compiled chunk; where the script waits, it continues by step.
 */
export function entryPointer(vm: Vm): number {
  const { api, pointer } = vm.lua;
  const current = (): ActiveRun => {
    if (!vm.active) throw new Error("no run is active");
    return vm.active;
  };
  const next = pointer(
    (L, _status, ctx) => (ctx === step.loaded ? callHandle(L as number) : takeResult(L as number)),
    3,
    true,
  );
  const callHandle = (L: number): number => {
    const run = current();
    run.phase = "handle";
    if (api.lua_getglobal(L, vm.names.handle) !== type.function) {
      run.missingHandle = true;
      return 0;
    }
    if (run.loadOnly) return 0;
    api.lua_pushvalue(L, place.input);
    api.lua_pushvalue(L, place.context);
    api.lua_callk(L, 2, 1, step.handled, next);
    return takeResult(L);
  };
  const takeResult = (L: number): number => {
    const run = current();
    const kind = api.lua_type(L, -1);
    const isTable = kind === type.table;
    if (kind === type.nil) return 0;
    if (!isTable && run.request.onlyTables) {
      run.result = { kind: "value", json: "null", isTable };
      return 0;
    }
    return raising(vm, L, "", () => {
      try {
        const bytes = vm.encoder.encode(L, run.machine.arrayAddress, run.request.limits.resultBytes);
        run.result = { kind: "value", json: bytes.toString("utf8"), isTable };
      } catch (error) {
        if (error instanceof TooLargeError) exceed(run, "resultBytes", error.message);
        else if (run.request.isLenient && error instanceof EncodeError)
          run.result = { kind: "value", json: "null", isTable: false };
        if (run.exceeded || !run.request.isLenient) throw error;
      }
      return 0;
    });
  };
  const start = (L: number): number => {
    const { request } = current();
    raising(vm, L, "", () => {
      const globals = vm.scratch.put(request.globals);
      api.lua_rawgeti(L, registry.table, registry.globals);
      vm.decoder.members(L, globals.address, globals.length);
      api.lua_settop(L, place.chunk);
      pushText(vm, L, request.input);
      api.lua_rawgeti(L, registry.table, registry.globals);
      api.lua_rotate(L, -2, 1);
      api.lua_rawget(L, -2);
      api.lua_rotate(L, -2, 1);
      api.lua_settop(L, place.input);
      const context = vm.scratch.put(request.context);
      vm.decoder.push(L, context.address, context.length);
      pushText(vm, L, "env");
      api.lua_getglobal(L, vm.names.env);
      api.lua_rawset(L, place.context);
      return 0;
    });
    // The Lua side of the APIs learns what run this is; it may put another value in the place of the input.
    api.lua_rawgeti(L, registry.table, registry.begin);
    api.lua_pushvalue(L, place.input);
    api.lua_pushvalue(L, place.context);
    api.lua_callk(L, 2, 1, 0, 0);
    api.lua_copy(L, -1, place.input);
    api.lua_settop(L, place.context);
    api.lua_pushvalue(L, place.chunk);
    api.lua_callk(L, 0, 0, step.loaded, next);
    return callHandle(L);
  };
  return pointer((L) => start(L as number), 1, true);
}

/** Runs every thousand instructions: counts them and looks at the clock. */
export function hookPointer(vm: Vm): number {
  const { api, pointer } = vm.lua;
  const hook: number = pointer(
    (L) => {
      const run = vm.active;
      if (!run) return;
      if (run.machine.arena.isFull) exceed(run, "memoryBytes", memoryText);
      if (!isOver(run, hookInterval)) return;
      // From now on it fires at every instruction, so that a script which catches this error gets it again at once.
      api.lua_sethook(L as number, hook, maskCount, 1);
      raise(vm, L as number, limitText, 0);
    },
    2,
    false,
  );
  return hook;
}
