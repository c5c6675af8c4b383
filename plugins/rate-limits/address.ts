import { BlockList, isIP } from "node:net";
import type { HttpRequest } from "../../core/http/request.ts";

/**
 * Who sent a request: the address of the connection, or, where that is a proxy we trust, the last address of
 * `X-Forwarded-For` that is none of our proxies. Anybody can write the ones before it.
 */
export function clientAddress(
  { headers, remoteAddress }: Pick<HttpRequest, "headers" | "remoteAddress">,
  trustedProxies: readonly string[],
): string {
  const peer = withoutMapping(remoteAddress ?? "unknown");
  const trusted = listOf(trustedProxies);
  if (!isListed(trusted, peer)) return peer;
  const forwarded = (headers.get("x-forwarded-for") ?? "")
    .split(",")
    .map((part) => withoutMapping(part.trim()));
  return forwarded.findLast((address) => isIP(address) !== 0 && !isListed(trusted, address)) ?? peer;
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
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
