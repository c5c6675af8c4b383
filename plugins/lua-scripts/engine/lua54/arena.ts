import type { Lua } from "./wasm.ts";

const chunkBytes = 256 * 1024;
const largeBytes = 64 * 1024;
const smallClasses = 64;
const classes = smallClasses + 7;

export interface Snapshot {
  bytes: Uint8Array;
  bump: number;
  used: number;
  free: Int32Array;
}

/**
 * The memory of one Lua state, handed out in size classes from its own chunks. It counts exactly what Lua holds,
 * refuses what goes beyond the ceiling, and can be put back byte by byte to an earlier moment: a state that is
 * reset this way is a fresh one without the cost of building it, and no finalizer or destructor runs.
 */
export class Arena {
  limit: number = Number.POSITIVE_INFINITY;
  peak = 0;
  readonly #lua: Lua;
  readonly #base: number;
  readonly #chunks: number[] = [];
  readonly #large = new Set<number>();
  readonly #free = new Int32Array(classes);
  #used = 0;
  /** The size of a request that was refused and not repeated since, 0 for none. */
  #refused = 0;
  #isFull = false;
  #bump: number;
  #end: number;

  constructor(lua: Lua) {
    this.#lua = lua;
    this.#base = lua.api.malloc(chunkBytes);
    if (this.#base === 0) throw new Error("no memory for another Lua state");
    this.#bump = (this.#base + 15) & ~15;
    this.#end = this.#base + chunkBytes;
  }

  /**
   * True once a request was refused for good, which is an error in the script. Lua mostly collects its garbage and asks
   * for the same again, with nothing but releases in between.
   */
  get isFull(): boolean {
    return this.#isFull || this.#refused !== 0;
  }

  /** lua_Alloc. For a new block the old size is a type tag, not a size. */
  allocate(pointer: number, oldSize: number, size: number): number {
    if (size === 0) {
      if (pointer !== 0) {
        this.#used -= oldSize;
        this.#release(pointer, oldSize);
      }
      return 0;
    }
    if (this.#refused !== 0 && this.#refused !== size) this.#isFull = true;
    const old = pointer === 0 ? 0 : oldSize;
    const used = this.#used + size - old;
    if (used > this.limit && size > old) return this.#refuse(size);
    const result = pointer === 0 ? this.#take(size) : this.#resize(pointer, old, size);
    if (result === 0) return this.#refuse(size);
    this.#refused = 0;
    this.#used = used;
    if (used > this.peak) this.peak = used;
    return result;
  }

  /** The present content, or undefined when it does not fit the first chunk. */
  snapshot(): Snapshot | undefined {
    if (this.#chunks.length > 0 || this.#large.size > 0) return undefined;
    const bytes = this.#lua.heap.u8.slice(this.#base, this.#bump);
    return { bytes, bump: this.#bump, used: this.#used, free: this.#free.slice() };
  }

  /** Gives back what goes beyond the first chunk. The state is of no use until it is restored. */
  release(): void {
    const { api } = this.#lua;
    for (const pointer of this.#chunks) api.free(pointer);
    for (const pointer of this.#large) api.free(pointer);
    this.#chunks.length = 0;
    this.#large.clear();
  }

  dispose(): void {
    this.release();
    this.#lua.api.free(this.#base);
  }

  restore(to: Snapshot): void {
    const { heap } = this.#lua;
    this.release();
    heap.u8.set(to.bytes, this.#base);
    this.#free.set(to.free);
    this.#bump = to.bump;
    this.#end = this.#base + chunkBytes;
    this.#used = to.used;
    this.#refused = 0;
    this.#isFull = false;
    this.peak = to.used;
  }

  #refuse(size: number): 0 {
    this.#isFull ||= this.#refused === size;
    this.#refused = size;
    return 0;
  }

  #resize(pointer: number, oldSize: number, size: number): number {
    if (oldSize > largeBytes && size > largeBytes && this.#large.has(pointer)) {
      const moved = this.#lua.api.realloc(pointer, size);
      if (moved === 0) return size < oldSize ? pointer : 0;
      this.#large.delete(pointer);
      this.#large.add(moved);
      return moved;
    }
    if (size <= largeBytes && oldSize <= largeBytes && toClass(size) === toClass(oldSize)) return pointer;
    const fresh = this.#take(size);
    // Lua relies on it that shrinking never fails; the block simply stays larger than it needs to be.
    if (fresh === 0) return size < oldSize ? pointer : 0;
    this.#lua.heap.u8.copyWithin(fresh, pointer, pointer + Math.min(size, oldSize));
    this.#release(pointer, oldSize);
    return fresh;
  }

  #take(size: number): number {
    const { api, heap } = this.#lua;
    if (size > largeBytes) {
      const pointer = api.malloc(size);
      if (pointer !== 0) this.#large.add(pointer);
      return pointer;
    }
    const index = toClass(size);
    const recycled = this.#free[index] ?? 0;
    if (recycled !== 0) {
      this.#free[index] = heap.u32[recycled >> 2] ?? 0;
      return recycled;
    }
    const bytes = classBytes(index);
    if (this.#bump + bytes > this.#end && !this.#addChunk()) return 0;
    const pointer = this.#bump;
    this.#bump += bytes;
    return pointer;
  }

  #addChunk(): boolean {
    const chunk = this.#lua.api.malloc(chunkBytes);
    if (chunk === 0) return false;
    this.#chunks.push(chunk);
    this.#bump = (chunk + 15) & ~15;
    this.#end = chunk + chunkBytes;
    return true;
  }

  #release(pointer: number, size: number): void {
    if (size > largeBytes && this.#large.delete(pointer)) {
      this.#lua.api.free(pointer);
      return;
    }
    const index = toClass(size);
    this.#lua.heap.u32[pointer >> 2] = this.#free[index] ?? 0;
    this.#free[index] = pointer;
  }
}

/** Steps of 16 bytes up to 1 KiB, then powers of two. */
function toClass(size: number): number {
  return size <= 1024 ? (size + 15) >> 4 : smallClasses + 22 - Math.clz32(size - 1);
}

function classBytes(index: number): number {
  return index <= smallClasses ? index << 4 : 1024 << (index - smallClasses);
}
