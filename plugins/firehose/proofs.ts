import { explain } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import { RefusedAnswer, refusedAnswer } from "../../core/http/answer.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import { shownUrl } from "../../core/http/shown-url.ts";
import { isUnreachable, type IdentityResolver } from "../../core/identity/resolve.ts";
import type { CommitEvent } from "../../core/index.ts";
import { createHosts } from "./hosts.ts";
import { readProof, type Proof } from "./proof.ts";
import type { ProofResult } from "./proof-ledger.ts";

export interface ProofsParts {
  /** Of all records, in [0, 1]. */
  share: number;
  identity: Pick<IdentityResolver, "resolve" | "forget">;
  fetch: OutgoingFetch;
  events: Events;
  count: (collection: string, result: ProofResult) => void;
  /** Stores what the account's host proves instead of what is stored; never rejects. */
  replace: (proven: CommitEvent, claimedRev: string) => Promise<void>;
  /** Unix milliseconds. */
  now: () => number;
  /** In [0, 1). @default Math.random */
  random?: (() => number) | undefined;
  pace?: Partial<ProofPace>;
}

export interface ProofPace {
  /** Between an event and the first question: the host should have what it announced. @default 2000 */
  delayMs: number;
  /** Between two questions about one record; doubles. @default 5000 */
  retryMs: number;
  /** Between two requests to one host. @default 1000 */
  gapMs: number;
  /** How often the queue is looked at. @default 200 */
  tickMs: number;
  /** Samples that may wait; more are skipped. @default 1000 */
  maxQueued: number;
}

export interface Proofs {
  /** Takes a share of the events for a proof. Cheap: it is called for each of them. */
  sample(event: CommitEvent): void;
  waiting(): number;
  close(): Promise<void>;
}

interface Sample {
  event: CommitEvent;
  uri: string;
  pds?: string;
  readyAt: number;
  attempts: number;
}

const maxRunning = 4;
const maxAttempts = 4;

/** Why a sample is asked about once more; without another attempt `otherwise` is its result. */
class AskAgain extends Error {
  readonly otherwise: ProofResult;
  readonly proof: Proof | undefined;
  readonly waitMs: number | undefined;
  constructor(
    message: string,
    otherwise: ProofResult,
    more: { proof?: Proof; waitMs?: number | undefined } = {},
  ) {
    super(message);
    this.otherwise = otherwise;
    this.proof = more.proof;
    this.waitMs = more.waitMs;
  }
}

/**
 * Asks the hosts of accounts, in the background, to prove a share of what a source without signatures says
 * (`com.atproto.sync.getRecord`). What cannot be proven is an event of the log, and is replaced by what can.
 */
export function createProofs(parts: ProofsParts): Proofs {
  const { share, identity, events, count, replace, now, random = Math.random } = parts;
  const pace = { delayMs: 2000, retryMs: 5000, gapMs: 1000, tickMs: 200, maxQueued: 1000, ...parts.pace };
  const hosts = createHosts({ gapMs: pace.gapMs, now });
  const samples = new Map<string, Sample>();
  const running = new Set<Promise<void>>();
  const stopping = new AbortController();

  /** The first that may be asked about now. */
  function next(): Sample | undefined {
    for (const sample of samples.values()) {
      if (sample.readyAt > now()) continue;
      if (sample.pds === undefined || hosts.take(sample.pds)) return sample;
    }
    return undefined;
  }

  function pump(): void {
    while (running.size < maxRunning && !stopping.signal.aborted) {
      const sample = next();
      if (!sample) return;
      sample.readyAt = Infinity; // it is in hand
      const done: Promise<void> = work(sample).finally(() => {
        running.delete(done);
        pump();
      });
      running.add(done);
    }
  }

  async function work(sample: Sample): Promise<void> {
    const { pds } = sample;
    try {
      if (pds === undefined) await locate(sample);
      else finish(sample, await ask(sample, pds));
    } catch (error) {
      if (stopping.signal.aborted) return;
      const again = error instanceof AskAgain ? error : new AskAgain(explain(error), "unavailable");
      sample.attempts += 1;
      if (sample.attempts < maxAttempts)
        sample.readyAt = now() + Math.max(again.waitMs ?? 0, pace.retryMs * 2 ** (sample.attempts - 1));
      else if (again.otherwise === "failed") await fail(sample, again.message, again.proof);
      else finish(sample, again.otherwise);
    }
  }

  function finish({ uri, event }: Sample, result: ProofResult): void {
    samples.delete(uri);
    count(event.collection, result);
  }

  /** Which host to ask is known before it is asked, so that it is asked politely. */
  async function locate(sample: Sample): Promise<void> {
    try {
      const { services } = await identity.resolve(sample.event.did);
      sample.pds = services["atproto_pds"];
    } catch (error) {
      if (isUnreachable(error)) throw error;
    }
    if (sample.pds === undefined) finish(sample, "unavailable");
    else sample.readyAt = now();
  }

  async function ask({ event }: Sample, pds: string): Promise<ProofResult> {
    const { did, collection, rkey } = event;
    const query = new URLSearchParams({ did, collection, rkey });
    let waitMs: number | undefined;
    let car: Uint8Array;
    try {
      car = await get(`${pds}/xrpc/com.atproto.sync.getRecord?${query}`);
    } catch (error) {
      if (!(error instanceof RefusedAnswer)) throw error;
      waitMs = error.waitMs;
      const isPassing = error.status === 408 || error.status === 429 || error.status >= 500;
      if (isPassing) throw new AskAgain(error.message, "unavailable", { waitMs });
      return "unavailable"; // the account is gone, or hidden
    } finally {
      hosts.free(pds, waitMs);
    }
    return judge(event, await read(car, event));
  }

  async function get(url: string): Promise<Uint8Array> {
    const response = await parts.fetch(url, {
      redirect: "error",
      signal: stopping.signal,
      headers: { accept: "application/vnd.ipld.car" },
    });
    if (!response.ok) throw await refusedAnswer(shownUrl(url), response, now());
    return new Uint8Array(await response.arrayBuffer());
  }

  /** A bad signature may be of a key that was exchanged since it was cached. */
  async function read(car: Uint8Array, event: CommitEvent): Promise<Proof> {
    const { signingKey } = await identity.resolve(event.did);
    if (!signingKey) throw new AskAgain("its DID document has no signing key", "unavailable");
    try {
      return await readProof(car, event, signingKey);
    } catch (error) {
      await identity.forget(event.did);
      throw new AskAgain(`the proof does not hold: ${explain(error)}`, "failed");
    }
  }

  function judge({ rev, cid, action }: CommitEvent, proof: Proof): ProofResult {
    if (proof.cid === (action === "delete" ? null : cid) && proof.rev >= rev) return "proven";
    // The host may lag behind what it announced, and we behind what it has by now.
    if (proof.rev < rev)
      throw new AskAgain("the account's host does not know the commit", "failed", { proof });
    const found = proof.cid === null ? "no such record" : `the record ${proof.cid}`;
    throw new AskAgain(`the account's repo has ${found}`, "failed", { proof });
  }

  async function fail(sample: Sample, reason: string, proof: Proof | undefined): Promise<void> {
    const { uri, event } = sample;
    const { did, collection, rkey, rev, cid } = event;
    finish(sample, "failed");
    events.emit({
      type: "record.proof_failed",
      severity: "error",
      subject: uri,
      detail: { did, collection, rkey, rev, cid, reason, proven_cid: proof?.cid, proven_rev: proof?.rev },
    });
    if (!proof || (proof.cid !== null && proof.record === null)) return;
    const action = proof.cid === null ? "delete" : "update";
    const record = proof.record ?? undefined;
    const proven = { kind: "commit", did, collection, rkey, action, record, isVerified: true } as const;
    await replace({ ...proven, rev: proof.rev, cid: proof.cid ?? "" }, rev);
  }

  const ticker = setInterval(pump, pace.tickMs);
  ticker.unref();

  return {
    sample(event) {
      if (samples.size > 0) {
        const pending = samples.get(uriOf(event));
        // What comes of a record while its proof is awaited is what the proof should show.
        if (pending && event.rev > pending.event.rev) pending.event = event;
        if (pending) return;
      }
      if (random() >= share) return;
      if (event.rev === "" || (event.action !== "delete" && event.cid === "")) return; // it claims nothing
      if (samples.size >= pace.maxQueued) return count(event.collection, "skipped");
      const uri = uriOf(event);
      samples.set(uri, { event, uri, readyAt: now() + pace.delayMs, attempts: 0 });
    },
    waiting: () => samples.size,
    async close() {
      clearInterval(ticker);
      stopping.abort();
      await Promise.all(running);
    },
  };
}

function uriOf({ did, collection, rkey }: CommitEvent): string {
  return `at://${did}/${collection}/${rkey}`;
}
