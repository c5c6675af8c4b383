import { varint } from "multiformats";

/** A record, and the nodes on the ways to it and to its neighbours. */
const maxBlocksPerRecord = 32;
const maxOtherBlocks = 64;

/**
 * Each block is hashed before any signature is checked, and megabytes of tiny ones take minutes.
 * @throws Error for a CAR with more blocks than proofs of so many records can need
 */
export function boundBlocks(car: Uint8Array, records: number): void {
  const most = maxOtherBlocks + maxBlocksPerRecord * records;
  if (countSections(car) > most) throw new Error(`a CAR with more than ${most} blocks`);
}

/** Each begins with its length; the header is one. */
function countSections(car: Uint8Array): number {
  let count = 0;
  for (let offset = 0; offset < car.length; count++) {
    const [length, size] = varint.decode(car, offset);
    offset += size + length;
  }
  return count;
}
