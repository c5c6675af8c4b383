import { BlockList, isIP } from "node:net";
import type { HttpRequest } from "../../core/http/request.ts";

/**
 * Who sent a request: the address of the connection, or, where that is a proxy we trust, the last address of
 * `X-Forwarded-For` that is none of our proxies. Anybody can write the ones before it, so that nothing is looked for
 * behind an entry that is no address: the connection's counts then.
 */
export function clientAddress(
  { headers, remoteAddress }: Pick<HttpRequest, "headers" | "remoteAddress">,
  trustedProxies: readonly string[],
): string {
  const peer = withoutMapping(remoteAddress ?? "unknown");
  const trusted = listOf(trustedProxies);
  if (!isListed(trusted, peer)) return peer;
  for (const part of (headers.get("x-forwarded-for") ?? "").split(",").toReversed()) {
    const address = withoutMapping(withoutPort(part.trim()));
    if (isIP(address) === 0) return peer;
    if (!isListed(trusted, address)) return address;
  }
  return peer;
}

/** What shares a bucket: one IPv6 customer has a /64 or more, so an address of its own for each request. */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = "", tail] = address.split("%", 1)[0]?.split("::", 2) ?? [];
  const groups = head.split(":").filter(Boolean);
  const rest = (tail ?? "").split(":").filter(Boolean);
  // An IPv4 address at the end stands for two groups.
  const size = groups.length + rest.length + (address.includes(".") ? 1 : 0);
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - size }, () => "0");
  const network = [...groups, ...zeros, ...rest].slice(0, 4).map((group) => parseInt(group, 16).toString(16));
  return `${network.join(":")}::/64`;
}

const lists = new WeakMap<readonly string[], BlockList>();

function listOf(networks: readonly string[]): BlockList {
  let list = lists.get(networks);
  if (list) return list;
  list = new BlockList();
  for (const network of networks) {
    const [address = "", prefix] = network.split("/", 2);
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  lists.set(networks, list);
  return list;
}

function isListed(list: BlockList, address: string): boolean {
  const version = isIP(address);
  return version !== 0 && list.check(address, version === 6 ? "ipv6" : "ipv4");
}

/** `::ffff:127.0.0.1` is 127.0.0.1. */
function withoutMapping(address: string): string {
  const mapped = /^::ffff:(?=\d+\.)/i.exec(address);
  return mapped ? address.slice(mapped[0].length) : address;
}

/** `192.0.2.1:4711` and `[2001:db8::1]:4711`, as some proxies write them. */
function withoutPort(address: string): string {
  return /^\[([^\]]+)\](?::\d+)?$/.exec(address)?.[1] ?? /^([\d.]+):\d+$/.exec(address)?.[1] ?? address;
}
