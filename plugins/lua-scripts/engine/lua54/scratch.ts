import type { Lua } from "./wasm.ts";

const keptBytes = 1024 * 1024;

/** Wasm memory outside every Lua state, for text on its way in. One user at a time. */
export interface Scratch {
  /** Copies text as UTF-8; the address holds until the next call. */
  put(text: string): { address: number; length: number };
  /** Copies bytes of the memory itself, such as a Lua string. */
  copy(from: number, length: number): number;
  /** Room for that many bytes. */
  reserve(bytes: number): number;
  shrink(): void;
}

export function createScratch(lua: Lua): Scratch {
  const encoder = new TextEncoder();
  let address = lua.api.malloc(keptBytes);
  let size = keptBytes;
  const reserve = (bytes: number): number => {
    if (bytes <= size) return address;
    lua.api.free(address);
    address = lua.api.malloc(bytes);
    size = address === 0 ? 0 : bytes;
    if (address === 0) throw new RangeError(`no memory for a text of ${bytes} bytes`);
    return address;
  };
  return {
    put(text) {
      if (text.length * 3 > size) reserve(Buffer.byteLength(text));
      const { written } = encoder.encodeInto(text, lua.heap.u8.subarray(address, address + size));
      return { address, length: written };
    },
    copy(from, length) {
      reserve(length);
      lua.heap.u8.copyWithin(address, from, from + length);
      return address;
    },
    reserve,
    shrink() {
      if (size <= keptBytes) return;
      lua.api.free(address);
      address = lua.api.malloc(keptBytes);
      size = keptBytes;
    },
  };
}
