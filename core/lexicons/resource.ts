import { isValidNsid } from "@atproto/syntax";
import { explain, HappyViewError } from "../errors.ts";
import type { ResourceKind } from "../resources/kind.ts";
import { isObject, parseAction, parseLexicon } from "./document.ts";
import type { LexiconInput, LexiconRegistry } from "./registry.ts";

/** What the config may add to a lexicon file (`lexicons: { "<nsid>": … }`). */
export interface LexiconOptions {
  /** The collection that a query lists and a procedure writes. */
  targetCollection?: string;
  /** What a procedure does on the caller's repo. @default "upsert" */
  action?: "create" | "update" | "delete" | "upsert";
  /** Fetches the history when a record lexicon is new: give it to lexicons whose records are yours to keep. @default false */
  backfill?: boolean;
  /** Rate-limit tokens a call costs. */
  tokenCost?: number;
}

/** `lexicons/xyz/statusphere/status.json` or `lexicons/xyz.statusphere.status.json`; the id inside must agree. */
export function lexiconResource(
  registry: LexiconRegistry,
  options: Readonly<Record<string, LexiconOptions>>,
): ResourceKind<LexiconInput> {
  return {
    kind: "lexicon",
    folder: "lexicons",
    idOf(path) {
      if (!path.endsWith(".json")) return null;
      const id = path.slice(0, -".json".length).replaceAll("/", ".");
      if (isValidNsid(id)) return id;
      throw new HappyViewError("RESOURCE_PATH", {
        message: `lexicons/${path} is not named after an NSID`,
        hint: "name it lexicons/com/example/status.json or lexicons/com.example.status.json",
      });
    },
    parse(file, id) {
      const document = parseJson(file.text, file.name);
      const refuse = (reason: string, hint: string): HappyViewError =>
        new HappyViewError("LEXICON_INVALID", { message: `${file.name}: ${reason}`, hint });
      if (!isObject(document))
        throw refuse("a lexicon is a JSON object", "see https://atproto.com/specs/lexicon");
      if (typeof document["id"] === "string" && document["id"] !== id)
        throw refuse(
          `its id is "${document["id"]}", its path says "${id}"`,
          "rename the file or change the id",
        );
      try {
        parseLexicon(document);
        parseAction(options[id]?.action);
      } catch (error) {
        throw refuse(explain(error), "see https://atproto.com/specs/lexicon");
      }
      const extra = options[id] ?? {};
      return {
        document,
        backfill: extra.backfill,
        targetCollection: extra.targetCollection,
        action: extra.action,
        tokenCost: extra.tokenCost,
        history: extra.backfill === true ? { actor: null } : undefined,
      };
    },
    extras: (id) => JSON.stringify(options[id] ?? {}),
    async stored() {
      // What `networkLexicons` of the config made is no file's to remove.
      const ours = registry.list().filter(({ source, origin }) => source === "manual" || origin === "admin");
      return ours.map(({ id, origin, configHash }) => ({ id, origin, configHash }));
    },
    async put(_id, value, by) {
      await registry.put({ ...value, ...by });
    },
    async remove(id) {
      await registry.remove(id);
    },
  };
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    const position = Number(/position (\d+)/.exec(String(cause))?.[1] ?? 0);
    const before = text.slice(0, position).split("\n");
    throw new HappyViewError("LEXICON_INVALID", {
      message: `${name}:${before.length}:${(before.at(-1)?.length ?? 0) + 1}: not JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      hint: "correct the file; the version that was deployed last keeps serving",
      cause,
    });
  }
}
