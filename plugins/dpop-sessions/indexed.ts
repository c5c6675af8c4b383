import type { CommitEvent, PluginApp } from "../../core/index.ts";
import { isObject } from "../../core/lexicons/document.ts";
import type { RepoWrite } from "./repo-writes.ts";

/** How long an answer waits for the local index; the stream brings the records anyway. */
const indexWaitMs = 2000;

/**
 * Shows at once what a PDS has written. It goes through the pipeline with the rev that the PDS gave it, so that the
 * stream's echo of it changes nothing; returns that rev.
 */
export async function indexWrites(
  did: string,
  writes: readonly RepoWrite[],
  answer: string,
  { records, log }: Pick<PluginApp, "records" | "log">,
): Promise<string | undefined> {
  const { rev, results } = readAnswer(answer);
  if (rev === undefined) return undefined;
  const events = writes.flatMap((write, i): CommitEvent[] => {
    const { uri, cid } = results[i] ?? {};
    const rkey = write.rkey ?? uri?.split("/").at(-1);
    if (rkey === undefined) return [];
    const { action, collection, record } = write;
    return [{ kind: "commit", did, rev, action, collection, rkey, record, cid: cid ?? "" }];
  });
  const limit = new Promise<void>((resolve) => setTimeout(resolve, indexWaitMs).unref());
  await Promise.race([records.pipeline.ingestMany(events), limit]).catch((error) =>
    log.warn("a write is not in the index yet; the stream brings it", { error: String(error) }),
  );
  return rev;
}

interface Result {
  uri?: string | undefined;
  cid?: string | undefined;
}

/** Of one write the result is the answer itself, of several its `results`. */
function readAnswer(body: string): { rev?: string; results: Result[] } {
  try {
    const value: unknown = JSON.parse(body);
    if (!isObject(value) || !isObject(value["commit"])) return { results: [] };
    const text = (given: unknown): string | undefined => (typeof given === "string" ? given : undefined);
    const rev = text(value["commit"]["rev"]);
    const all = Array.isArray(value["results"]) ? value["results"] : [value];
    const results = all.map((each) =>
      isObject(each) ? { uri: text(each["uri"]), cid: text(each["cid"]) } : {},
    );
    return rev === undefined ? { results } : { rev, results };
  } catch {
    return { results: [] };
  }
}
