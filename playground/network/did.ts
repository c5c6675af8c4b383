import type { Prng } from "./prng.ts";

const alphabet = [..."abcdefghijklmnopqrstuvwxyz234567"];

/** A did:plc without a genesis operation behind it: that would contain the PDS's port and differ from run to run. */
export function createDid(prng: Prng): string {
  return `did:plc:${Array.from({ length: 24 }, () => prng.pick(alphabet)).join("")}`;
}
