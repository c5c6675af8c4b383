import dns from "node:dns/promises";
import { BlockList, isIP } from "node:net";

/**
 * Bun's fetch takes no lookup of ours: there the name is resolved and checked before the request. Node checks it where
 * the connection is made.
 */
export async function requirePublic({ hostname }: URL): Promise<void> {
  if (!("Bun" in globalThis)) return;
  const host = hostname.replace(/^\[|\]$/g, "");
  const addresses = isIP(host) ? [{ address: host }] : await dns.lookup(host, { all: true });
  if (addresses.some(({ address }) => privateAddresses.check(address, isIP(address) === 6 ? "ipv6" : "ipv4")))
    throw new Error("Hostname resolved to non-unicast address");
}

const privateAddresses = new BlockList();
for (const [network, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3],
] as const)
  privateAddresses.addSubnet(network, bits, "ipv4");
for (const [network, bits] of [
  ["::", 127],
  ["::ffff:0:0", 96],
  ["64:ff9b::", 96],
  ["fc00::", 7],
  ["fe80::", 10],
  ["ff00::", 8],
] as const)
  privateAddresses.addSubnet(network, bits, "ipv6");
