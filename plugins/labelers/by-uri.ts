import { explain } from "../../core/errors.ts";
import type { AppliedChange, PluginApp } from "../../core/index.ts";
import type { LabelIntake } from "./intake.ts";

export interface ByUri {
  /** Asks for the labels of records that were indexed. */
  indexed(changes: readonly AppliedChange[]): void;
  close(): Promise<void>;
}

export interface ByUriParts {
  app: Pick<PluginApp, "identity" | "fetch" | "log">;
  intake: LabelIntake;
  /** Labelers whose labels do not come by their stream. */
  labelers(): string[];
}

const patternsPerRequest = 25;

/** Records that wait to be asked about; the newest are kept, as the oldest are asked for again by whoever shows them. */
const maxWaiting = 20_000;
const pauseMs = 200;

/**
 * Labels by URI, for labelers whose stream is away or does not reach back (sync-and-xrpc §5.3): many URIs in a request,
 * one request at a time for each labeler.
 */
export function createByUri({ app, intake, labelers }: ByUriParts): ByUri {
  const stopping = new AbortController();
  let waiting = new Set<string>();
  let running: Promise<void> | undefined;

  async function drain(): Promise<void> {
    while (waiting.size > 0 && !stopping.signal.aborted) {
      const uris = [...waiting].slice(0, patternsPerRequest);
      for (const uri of uris) waiting.delete(uri);
      for (const did of labelers()) await ask(did, uris);
      if (waiting.size > 0) await new Promise((go) => setTimeout(go, pauseMs));
    }
  }

  async function ask(did: string, uris: readonly string[]): Promise<void> {
    try {
      const { services } = await app.identity.resolve(did);
      const endpoint = services["atproto_labeler"] ?? services["atproto_pds"];
      if (endpoint === undefined) return;
      const query = new URLSearchParams(uris.map((uri): [string, string] => ["uriPatterns", uri]));
      query.append("sources", did);
      const response = await app.fetch(`${endpoint}/xrpc/com.atproto.label.queryLabels?${query}`, {
        redirect: "error",
        signal: stopping.signal,
      });
      const answer = response.ok ? ((await response.json()) as { labels?: unknown }) : {};
      const labels = Array.isArray(answer.labels) ? answer.labels : [];
      await intake(did, labels.map(fromJson), { signal: stopping.signal });
    } catch (error) {
      if (!stopping.signal.aborted)
        app.log.debug("labels by URI could not be asked for", { labeler: did, error: explain(error) });
    }
  }

  return {
    indexed(changes) {
      if (labelers().length === 0) return;
      for (const { action, uri } of changes) if (action !== "delete") waiting.add(uri);
      if (waiting.size > maxWaiting) waiting = new Set([...waiting].slice(-maxWaiting));
      running ??= drain().finally(() => (running = undefined));
    },
    async close() {
      stopping.abort(new Error("the server stops"));
      await running;
    },
  };
}

/** The JSON form of a signature is `{ $bytes }`. */
function fromJson(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("sig" in value)) return value;
  const { sig } = value as { sig: unknown };
  const text = typeof sig === "object" && sig !== null && "$bytes" in sig ? sig.$bytes : undefined;
  return {
    ...value,
    sig: typeof text === "string" ? new Uint8Array(Buffer.from(text, "base64")) : undefined,
  };
}
