import { createHash } from "node:crypto";

/** Seeded randomness: everything in the simulator that looks random comes from one of these. */
export interface Prng {
  /** In [0, 1). */
  next(): number;
  /** A whole number in [0, below). */
  int(below: number): number;
  chance(share: number): boolean;
  pick<T>(list: readonly T[]): T;
  bytes(length: number): Uint8Array;
  shuffle<T>(list: T[]): T[];
}

/** The same seed gives the same sequence; labels (`"1/keys"`) make independent sequences of one seed. */
export function createPrng(seed: number | string): Prng {
  const nextWord = createXoshiro(createHash("sha256").update(String(seed)).digest());
  const next = (): number => nextWord() / 2 ** 32;
  const int = (below: number): number => Math.floor(next() * below);
  return {
    next,
    int,
    chance: (share) => next() < share,
    pick(list) {
      const picked = list[int(list.length)];
      if (picked === undefined) throw new RangeError("[network] cannot pick from an empty list");
      return picked;
    },
    bytes(length) {
      return Uint8Array.from({ length }, () => int(256));
    },
    shuffle(list) {
      const shuffled = [...list];
      for (let end = shuffled.length - 1; end > 0; end--) {
        const [moved] = shuffled.splice(int(end + 1), 1);
        if (moved !== undefined) shuffled.push(moved);
      }
      return shuffled;
    },
  };
}

/** xoshiro128**: four words of state, and cheap enough for the event generator. */
function createXoshiro(seed: Buffer): () => number {
  let a = seed.readUInt32LE(0);
  let b = seed.readUInt32LE(4);
  let c = seed.readUInt32LE(8);
  let d = seed.readUInt32LE(12);
  return () => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  };
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
