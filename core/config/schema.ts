import { isValidDid, isValidNsid } from "@atproto/syntax";
import { z } from "zod";
import { HappyViewError } from "../errors.ts";
import type { Plugin } from "../plugin.ts";
import type { UserConfig } from "./define.ts";

const plugin = z.custom<Plugin>(
  (value) => typeof value === "object" && value !== null && "name" in value && "setup" in value,
  { message: "expected a plugin, as firehose() returns (with the parentheses)" },
);

const lexiconOptions = z.strictObject({
  targetCollection: z.string().optional(),
  action: z.enum(["create", "update", "delete", "upsert"]).optional(),
  backfill: z.boolean().optional(),
  tokenCost: z.int().min(0).optional(),
});

const nsid = z.string().refine(isValidNsid, "expected an NSID such as com.example.status");

const did = z.string().max(256).refine(isValidDid, "expected a DID such as did:plc:ar7c4by46qjdydhdevvrndac");

const networkLexicon = z.preprocess(
  (entry) => (typeof entry === "string" ? { nsid: entry } : entry),
  z.strictObject({ nsid, targetCollection: nsid.optional(), backfill: z.boolean().optional() }),
);

const schema: z.ZodType<UserConfig> = z.strictObject({
  database: z
    .strictObject({ url: z.string().optional(), maxConnections: z.int().min(1).optional() })
    .optional(),
  plugins: z.array(plugin).optional(),
  lexicons: z.record(z.string(), lexiconOptions).optional(),
  networkLexicons: z.array(networkLexicon).max(1000).optional(),
  labelers: z.array(did).max(1000).optional(),
  settings: z.record(z.string(), z.string()).optional(),
  server: z
    .strictObject({
      publicUrl: z.url().optional(),
      host: z.string().optional(),
      port: z.int().min(0).max(65535).optional(),
      basePath: z.string().optional(),
    })
    .optional(),
  network: z
    .strictObject({
      jetstreamUrl: z.url().optional(),
      relayUrl: z.url().optional(),
      plcUrl: z.url().optional(),
    })
    .optional(),
});

/** Checks a merged config; the error names the key, the file and the fix. */
export function checkConfig(value: unknown, file: string): UserConfig {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(describe);
  throw new HappyViewError("CONFIG_INVALID", {
    message: `${file}: ${problems.map((p) => p.message).join("; ")}`,
    hint: problems.map((p) => p.hint).join("; "),
  });
}

function describe(issue: z.core.$ZodIssue): { message: string; hint: string } {
  const at = issue.path.map(String).join(".");
  if (issue.code !== "unrecognized_keys")
    return { message: `\`${at}\`: ${issue.message}`, hint: `correct \`${at}\`` };
  const known = keysAt(issue.path);
  const key = issue.keys[0] ?? "";
  const closest = known.toSorted((a, b) => distance(a, key) - distance(b, key))[0];
  const isTypo = closest !== undefined && distance(closest, key) <= Math.max(2, key.length / 3);
  const path = at === "" ? key : `${at}.${key}`;
  return {
    message: `\`${path}\` is not a key of the config`,
    hint: isTypo ? `did you mean \`${closest}\`?` : `allowed here: ${known.join(", ")}`,
  };
}

const keys: Record<string, string[]> = {
  "": ["database", "plugins", "lexicons", "networkLexicons", "labelers", "settings", "server", "network"],
  database: ["url", "maxConnections"],
  networkLexicons: ["nsid", "targetCollection", "backfill"],
  server: ["publicUrl", "host", "port", "basePath"],
  network: ["jetstreamUrl", "relayUrl", "plcUrl"],
};

function keysAt(path: readonly PropertyKey[]): string[] {
  const first = String(path[0] ?? "");
  return first === "lexicons" ? ["targetCollection", "action", "backfill", "tokenCost"] : (keys[first] ?? []);
}

/** Levenshtein's distance, for "did you mean". */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(
        (row[j] ?? 0) + 1,
        (next[j - 1] ?? 0) + 1,
        (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
      );
    row = next;
  }
  return row[b.length] ?? 0;
}
