import { formatDate, fromCalendar, readDate, toCalendar, writeCalendar } from "./calendar.ts";
import type { LuaApi } from "./wasm.ts";

interface Host {
  heap: { u8: Uint8Array; u32: Uint32Array };
  api: () => LuaApi;
  refresh: () => void;
}

const pageBytes = 65_536;
const maxMemoryBytes = 2 ** 31;
const notSupported = -52; // ENOSYS

/**
 * What the module needs from outside. There is no file, process or environment behind any of it: the libraries
 * that would ask for them are not opened, and if one did, it would be told that the function does not exist.
 */
export function createImports(host: Host): WebAssembly.Imports {
  const refuse = (): number => notSupported;
  const env: Record<string, (...args: never[]) => unknown> = {
    abort() {
      throw new Error("the Lua module aborted");
    },
    exit() {
      throw new Error("the Lua module tried to exit");
    },
    system: () => 0,
    // setjmp and longjmp: Lua raises an error by throwing out of the C frames down to this call.
    _emscripten_throw_longjmp() {
      throw longjmp;
    },
    invoke_vii(fn: number, a: number, b: number) {
      const api = host.api();
      const stack = api.stackSave();
      try {
        (api.__indirect_function_table.get(fn) as (a: number, b: number) => void)(a, b); // by the name: void(int, int)
      } catch (error) {
        api.stackRestore(stack);
        if (error !== longjmp) throw error;
        api.setThrew(1, 0);
      }
    },
    emscripten_resize_heap(wanted: number) {
      const memory = host.api().memory;
      const size = memory.buffer.byteLength;
      if (wanted >>> 0 > maxMemoryBytes) return 0;
      const target = Math.min(maxMemoryBytes, Math.max(wanted >>> 0, Math.floor(size * 1.2)));
      try {
        memory.grow(Math.ceil((target - size) / pageBytes));
      } catch {
        return 0;
      }
      host.refresh();
      return 1;
    },
    emscripten_date_now: () => performance.timeOrigin + performance.now(),
    _emscripten_get_now_is_monotonic: () => 1,
    _gmtime_js: (seconds: bigint, tm: number) => writeCalendar(host.heap.u32, tm, toCalendar(seconds, "utc")),
    _localtime_js: (seconds: bigint, tm: number) =>
      writeCalendar(host.heap.u32, tm, toCalendar(seconds, "local")),
    _mktime_js(tm: number) {
      const seconds = fromCalendar(host.heap.u32, tm);
      writeCalendar(host.heap.u32, tm, toCalendar(seconds, "local"));
      return seconds;
    },
    _tzset_js() {},
    strftime(target: number, max: number, format: number, tm: number) {
      const end = host.heap.u8.indexOf(0, format);
      const text = Buffer.from(host.heap.u8.subarray(format, end)).toString("latin1");
      const bytes = Buffer.from(formatDate(text, readDate(host.heap.u32, tm)), "latin1");
      if (bytes.length + 1 > max) return 0;
      host.heap.u8.set(bytes, target);
      host.heap.u8[target + bytes.length] = 0;
      return bytes.length;
    },
  };
  for (const name of ["openat", "fcntl64", "ioctl", "dup3", "unlinkat", "rmdir", "renameat", "readlinkat"])
    env[`__syscall_${name}`] = refuse;
  const wasi = Object.fromEntries(
    ["fd_write", "fd_read", "fd_close", "fd_seek", "environ_get"].map((name) => [name, () => 52]),
  );
  const noEnvironment = (count: number, size: number): number => {
    host.heap.u32[count >> 2] = 0;
    host.heap.u32[size >> 2] = 0;
    return 0;
  };
  return { env, wasi_snapshot_preview1: { ...wasi, environ_get: () => 0, environ_sizes_get: noEnvironment } };
}

/** The value a Lua error travels as through our own frames: never catch it without throwing it again. */
export const longjmp: number = Number.POSITIVE_INFINITY;
