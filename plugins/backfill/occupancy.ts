import type { Hosts } from "./hosts.ts";

/** The units in hand, by the host they are fetched from. */
export interface Occupancy {
  /** How many more units of a host to take in hand. */
  room(host: string): number;
  /** A unit is in hand until its task ends. */
  occupying(host: string, task: () => Promise<void>): Promise<void>;
}

export function createOccupancy(hosts: Pick<Hosts, "room">): Occupancy {
  const inHand = new Map<string, number>();
  const countOf = (host: string): number => inHand.get(host) ?? 0;
  return {
    room: (host) => hosts.room(host, countOf(host)),
    async occupying(host, task) {
      inHand.set(host, countOf(host) + 1);
      try {
        await task();
      } finally {
        const left = countOf(host) - 1;
        if (left > 0) inHand.set(host, left);
        else inHand.delete(host);
      }
    },
  };
}
