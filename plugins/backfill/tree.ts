import { setImmediate as nextTurn } from "node:timers/promises";
import { decode } from "@atproto/lex-cbor";
import { ifCid, type Cid } from "@atproto/lex-data";
import { isObject } from "../../core/lexicons/document.ts";
import { FetchError } from "./failure.ts";

const nodesPerTurn = 500;

/**
 * Refuses a tree in which a node is linked twice. Keys are unique, so that no true one has that (repository spec, MST);
 * a false one of a few kilobytes could be walked for hours.
 * @throws FetchError repo_invalid
 */
export async function requireTree(
  did: string,
  root: Cid,
  blocks: { get(cid: Cid): Uint8Array | null | undefined },
): Promise<void> {
  const seen = new Set<string>();
  const todo = [root];
  for (let cid = todo.pop(); cid; cid = todo.pop()) {
    const name = cid.toString();
    if (seen.has(name))
      throw new FetchError(
        "repo_invalid",
        `the export of ${did} is not usable: a node of its tree is there twice`,
      );
    seen.add(name);
    const bytes = blocks.get(cid);
    if (bytes) todo.push(...linksOf(bytes)); // a hole is told of where it is read
    if (seen.size % nodesPerTurn === 0) await nextTurn();
  }
}

/** The subtrees of a node: left of its first entry, and right of each. */
function linksOf(bytes: Uint8Array): Cid[] {
  const node: unknown = decode(bytes);
  const { l, e } = isObject(node) ? node : {};
  const entries: unknown[] = Array.isArray(e) ? e : [];
  return [l, ...entries.map((entry) => (isObject(entry) ? entry["t"] : null))].flatMap(
    (link) => ifCid(link) ?? [],
  );
}
