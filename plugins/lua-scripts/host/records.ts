import { explain } from "../../../core/errors.ts";
import { isObject } from "../../../core/lexicons/document.ts";
import type { PluginApp } from "../../../core/plugin-app.ts";
import { shapeProblem } from "../../../core/records/verify.ts";
import { ScriptError } from "../engine/engine.ts";
import { jsonResult, type HostFunctions, type JsonValue } from "../engine/host.ts";
import type { Actor } from "./actor.ts";
import type { PdsSession } from "./pds.ts";

const maxLoaded = 1000;
const noAuth =
  "no PDS auth in this script context — use :save_local() / :delete_local() / Record.delete_local(uri) for local-only mutation";

export type RecordParts = Pick<PluginApp, "records" | "lexicons" | "log">;

/** `Record` (lua §4.3): the lexicon's part, the index, and the PDS of the actor. */
export function recordFunctions({ records, lexicons, log }: RecordParts, actor: Actor): HostFunctions {
  const { local } = records;

  const mirror = async (uri: string, record: string, cid: string): Promise<void> => {
    try {
      await local.put({ ...parseUri(uri), record, cid });
    } catch (error) {
      // The PDS has it, so the stream will bring it.
      log.warn("a record that a script saved could not be mirrored", { uri, error: explain(error) });
    }
  };

  return {
    "record.lexicon": ([collection]) => {
      const lexicon = lexicons.get(String(collection));
      if (lexicon?.type !== "record") return undefined;
      const { document, recordSchema } = lexicon;
      const main = isObject(document["defs"]) ? document["defs"]["main"] : undefined;
      const key = isObject(main) && typeof main["key"] === "string" ? main["key"] : undefined;
      return { schema: recordSchema, key, document };
    },
    "record.load": async ([uris]) => {
      const wanted = Array.isArray(uris) ? uris.map(String) : [];
      if (wanted.length > maxLoaded) throw new ScriptError(`at most ${maxLoaded} records are loaded at once`);
      const rows = new Map((await local.get(wanted)).map((row) => [row.uri, row]));
      const texts = wanted.map((uri) => {
        const row = rows.get(uri);
        if (!row) return "null";
        const { record, ...rest } = row;
        return `${JSON.stringify(rest).slice(0, -1)},"record":${record}}`;
      });
      return jsonResult(`[${texts.join(",")}]`);
    },
    "record.save_local": async ([where, record]) => {
      const given = readPlace(where);
      const place = given.uri === undefined ? given : parseUri(given.uri);
      const { collection } = place;
      const did = "did" in place ? place.did : (given.repo ?? "");
      const rkey = place.rkey ?? "";
      requireShape(did, collection, rkey);
      return local.put({ did, collection, rkey, record: String(record) });
    },
    "record.delete_local": ([uri]) => local.remove(String(uri)),
    "record.save": async ([where, record]) => {
      const session = requireSession(actor);
      const place = readPlace(where);
      const method = `com.atproto.repo.${place.uri === undefined ? "createRecord" : "putRecord"}`;
      const rkey = place.uri === undefined ? place.rkey : place.uri.slice(place.uri.lastIndexOf("/") + 1);
      const { collection } = place;
      const fields = { repo: place.repo ?? repoOf(actor), collection, rkey, swapRecord: place.swap };
      const text = String(record);
      // Written as text: the body keeps its integers and floats as the script made them.
      const answer = await post(session, method, `${JSON.stringify(fields).slice(0, -1)},"record":${text}}`);
      await mirror(answer.uri, text, answer.cid);
      return answer;
    },
    "record.delete": async ([uri, repo]) => {
      const session = requireSession(actor);
      const { collection, rkey } = parseUri(String(uri));
      const fields = { repo: typeof repo === "string" ? repo : repoOf(actor), collection, rkey };
      try {
        await post(session, "com.atproto.repo.deleteRecord", JSON.stringify(fields));
      } catch (error) {
        // The index forgets it whatever the PDS says, as the original does; only a lost session is told.
        if (!(error instanceof ScriptError) || error.message.startsWith("AUTH_ERROR:")) throw error;
        log.warn("a PDS did not delete a record of a script", { uri: String(uri), error: error.message });
      }
      await local.remove(String(uri));
    },
  };
}

function requireSession({ session }: Actor): PdsSession {
  if (!session) throw new ScriptError(noAuth);
  return session;
}

function repoOf({ caller, delegateDid }: Actor): string {
  return delegateDid ?? caller.did ?? "";
}

async function post(
  session: PdsSession,
  method: string,
  body: string,
): Promise<{ uri: string; cid: string }> {
  const name = method.slice(method.lastIndexOf(".") + 1);
  let answer;
  try {
    answer = await session.post(method, body);
  } catch (error) {
    if (error instanceof Error && error.name === "PdsAuthError")
      throw new ScriptError(`AUTH_ERROR:${error.message}`);
    throw new ScriptError(`PDS ${name} failed: ${explain(error)}`);
  }
  if (answer.status >= 300)
    throw new ScriptError(`PDS ${name} returned ${answer.status}: ${answer.body.slice(0, 10_000)}`);
  const parsed: unknown = answer.body === "" ? {} : JSON.parse(answer.body);
  const fields = isObject(parsed) ? parsed : {};
  return { ...fields, uri: String(fields["uri"] ?? ""), cid: String(fields["cid"] ?? "") };
}

interface Place {
  collection: string;
  uri: string | undefined;
  rkey: string | undefined;
  repo: string | undefined;
  swap: string | undefined;
}

function readPlace(where: JsonValue | undefined): Place {
  const fields = isObject(where) ? where : {};
  const text = (name: string): string | undefined => {
    const value = fields[name];
    return typeof value === "string" ? value : undefined;
  };
  return {
    collection: text("collection") ?? "",
    uri: text("uri"),
    rkey: text("rkey"),
    repo: text("repo"),
    swap: text("swap"),
  };
}

function parseUri(uri: string): { did: string; collection: string; rkey: string } {
  const [, did, collection, rkey] = /^at:\/\/([^/]+)\/([^/]+)\/([^/]+)$/.exec(uri) ?? [];
  if (did === undefined || collection === undefined || rkey === undefined)
    throw new ScriptError(`invalid AT URI: ${uri}`);
  return { did, collection, rkey };
}

function requireShape(did: string, collection: string, rkey: string): void {
  const problem = shapeProblem(did, collection, rkey);
  if (problem) throw new ScriptError(`invalid AT URI: at://${did}/${collection}/${rkey}: ${problem}`);
}
