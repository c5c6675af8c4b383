import dns from "node:dns/promises";
import { BlockList, isIP } from "node:net";

/**
 * What `safeFetchWrap` needs on Bun, whose fetch takes no lookup of ours: there a name is resolved and checked before the
 * request, which then goes to the very address that was checked. Node checks it where the connection is made.
 */
export function pinning(): { fetch?: typeof globalThis.fetch } {
  return "Bun" in globalThis ? { fetch: pinnedFetch } : {};
}

/** Follows no redirect: where that leads would be unchecked. */
async function pinnedFetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  const url = new URL(request.url);
  const name = url.hostname.replace(/^\[|\]$/g, "");
  const headers = new Headers(request.headers);
  headers.set("host", url.host);
  const address = await publicAddress(name);
  url.hostname = isIP(address) === 6 ? `[${address}]` : address;
  const { method, redirect, signal } = request;
  const body = method === "GET" || method === "HEAD" ? undefined : await request.arrayBuffer();
  return fetch(url, {
    method,
    headers,
    signal,
    redirect: redirect === "manual" ? "manual" : "error",
    ...(body === undefined ? {} : { body }),
    // The certificate is still that of the name.
    ...(isIP(name) === 0 ? { tls: { serverName: name } } : {}),
    timeout: false, // the signal says how long, instead of Bun's 300 s
  } as RequestInit); // `tls` and `timeout` are Bun's own
}

/** One of a name's addresses; IPv4 where there is one, as there is no second try. @throws Error when one of them is private */
async function publicAddress(name: string): Promise<string> {
  const found = isIP(name) ? [{ address: name }] : await dns.lookup(name, { all: true });
  if (found.some(({ address }) => isPrivate(address)))
    throw new Error("Hostname resolved to non-unicast address");
  const chosen = found.find(({ address }) => isIP(address) === 4) ?? found[0];
  if (!chosen) throw new Error(`${name} has no address`);
  return chosen.address;
}

function isPrivate(address: string): boolean {
  return isIP(address) === 6 ? private6.check(address, "ipv6") : private4.check(address, "ipv4");
}

// Apart from each other: to a list that has ::ffff:0:0/96, every IPv4 address is one of it.
const [private4, private6] = [new BlockList(), new BlockList()];
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
  private4.addSubnet(network, bits, "ipv4");
for (const [network, bits] of [
  ["::", 127],
  ["::ffff:0:0", 96],
  ["64:ff9b::", 96],
  ["fc00::", 7],
  ["fe80::", 10],
  ["ff00::", 8],
] as const)
  private6.addSubnet(network, bits, "ipv6");
