import type { Keypair } from "@atproto/crypto";
import { encode } from "@atproto/lex-cbor";
import { type Cid, cidForCbor } from "@atproto/lex-data";
import {
  type BlockMap,
  blocksToCarFile,
  def,
  parseObjByDef,
  readCarWithRoot,
  signCommit,
} from "@atproto/repo";
import type { FaultRule } from "./faults.ts";
import type { Reply } from "./service.ts";

/** Answers that contradict the protocol, for `faults.add({ …, lie })`. */
type Lie = NonNullable<FaultRule["lie"]>;

/** `listRecords` that claims for one record the CID of something else. */
export function wrongCid(rkey: string): Lie {
  return inJson((body) => {
    for (const entry of body["records"] as { uri: string; cid: string }[])
      // as our PDS answers
      if (entry.uri.endsWith(`/${rkey}`))
        entry.cid = "bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
  });
}

/** A list that goes on for ever: its pages name these cursors in turn. */
export function loopingCursor(...cursors: string[]): Lie {
  let page = 0;
  return inJson((body) => {
    body["cursor"] = cursors[page++ % cursors.length];
  });
}

/** `getRepo` without one of its blocks. */
export function missingBlock(cid: string): Lie {
  return inCar((root, blocks) => {
    for (const known of blocks.cids()) if (known.toString() === cid) blocks.delete(known);
    return root;
  });
}

/** `getRepo` without the root of its tree. */
export const missingTree: Lie = inCar(async (root, blocks) => {
  const { obj } = await parseObjByDef(blocks.get(root) ?? new Uint8Array(), root, def.commit);
  blocks.delete(obj.data);
  return root;
});

/** `getRepo` with a commit that another key has signed. */
export function signedBy(keypair: Keypair): Lie {
  return inCar(async (root, blocks) => {
    const { obj } = await parseObjByDef(blocks.get(root) ?? new Uint8Array(), root, def.commit);
    const { did, rev, data } = obj;
    const bytes = encode(await signCommit({ did, version: 3, rev, prev: null, data }, keypair));
    const forged = await cidForCbor(bytes);
    blocks.delete(root).set(forged, bytes);
    return forged;
  });
}

/** Errors stay what they are. */
function inJson(change: (body: Record<string, unknown>) => void): Lie {
  return (truth) => {
    if ((truth.status ?? 200) !== 200) return truth;
    const body = JSON.parse(String(truth.body)) as Record<string, unknown>; // our services answer with objects
    change(body);
    return { ...truth, body: JSON.stringify(body) };
  };
}

function inCar(change: (root: Cid, blocks: BlockMap) => Cid | Promise<Cid>): Lie {
  return async (truth): Promise<Reply> => {
    if ((truth.status ?? 200) !== 200) return truth;
    const { root, blocks } = await readCarWithRoot(Buffer.from(truth.body));
    const changed = await change(root, blocks);
    return { ...truth, body: await blocksToCarFile(changed, blocks) };
  };
}
