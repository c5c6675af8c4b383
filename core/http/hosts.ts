/** The host names under which the instance is known (sync-and-xrpc §6.1). */
export interface Hosts {
  has(host: string): boolean;
  add(url: string): void;
  remove(url: string): void;
}

const loopback = new Set(["localhost", "127.0.0.1", "[::1]"]);

/**
 * @param publicUrl the configured URL; without one the instance is a developer's, and every loopback name is its own.
 */
export function createHosts(publicUrl: string | undefined): Hosts {
  const known = new Set<string>();
  const add = (url: string): void => void known.add(new URL(url).hostname.toLowerCase());
  if (publicUrl !== undefined) add(publicUrl);
  return {
    has: (host) => known.has(host) || (publicUrl === undefined && loopback.has(host)),
    add,
    remove: (url) => void known.delete(new URL(url).hostname.toLowerCase()),
  };
}
