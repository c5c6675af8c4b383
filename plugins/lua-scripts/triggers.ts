/** What a script is bound to: `<prefix>:<suffix>` (lua §1.1). */
export interface Trigger {
  id: string;
  prefix: TriggerPrefix;
  suffix: string;
}

const prefixes = [
  "record.index",
  "record.create",
  "record.update",
  "record.delete",
  "xrpc.query",
  "xrpc.procedure",
  "labeler.apply",
  "job.run",
] as const;

export type TriggerPrefix = (typeof prefixes)[number];

const allowed = "record.{index,create,update,delete}, xrpc.{query,procedure}, labeler.apply, job.run";

/** Parses a trigger id. @throws Error with HappyView's words */
export function parseTrigger(id: string): Trigger {
  const colon = id.indexOf(":");
  if (colon < 0)
    throw new Error(`trigger id '${id}' must contain a ':' separator; valid prefixes: ${allowed}`);
  const prefix = prefixes.find((known) => known === id.slice(0, colon));
  const suffix = id.slice(colon + 1);
  if (suffix === "") throw new Error(`trigger id '${id}' has empty suffix`);
  if (!prefix) throw new Error(`unknown trigger prefix '${id.slice(0, colon)}'; valid prefixes: ${allowed}`);
  if (prefix === "job.run") checkJobType(suffix);
  else if (!(prefix === "labeler.apply" && suffix === "_actor")) checkNsid(suffix);
  return { id, prefix, suffix };
}

/** `record.create/xyz.statusphere.status.lua` → `record.create:xyz.statusphere.status`. @throws Error for any other path */
export function triggerOfPath(path: string): string {
  const match = /^([^/]+)\/([^/]+)\.lua$/.exec(path);
  if (!match)
    throw new Error(`scripts/${path} is no trigger: a script lies at scripts/<trigger>/<suffix>.lua`);
  return parseTrigger(`${match[1]}:${match[2]}`).id;
}

/** The file that a script of this trigger lies in, where it comes from one. */
export function pathOfTrigger(trigger: string): string {
  return `scripts/${trigger.replace(":", "/")}.lua`;
}

export const triggerFolders: readonly string[] = prefixes;

function checkNsid(nsid: string): void {
  const refuse = (reason: string): Error => new Error(`invalid NSID '${nsid}': ${reason}`);
  const segments = nsid.split(".");
  if (segments.length < 2) throw refuse("need at least 2 dot-separated segments");
  for (const [index, segment] of segments.entries()) {
    if (segment === "") throw refuse("empty segment");
    if (!/^[A-Za-z]/.test(segment)) throw refuse(`segment ${index} must start with a letter`);
    const bad = /[^A-Za-z0-9-]/.exec(segment);
    if (bad) throw refuse(`segment ${index} contains invalid character '${bad[0]}'`);
  }
}

function checkJobType(type: string): void {
  if (type.length > 128) throw new Error(`invalid job type '${type}': must be 1–128 characters`);
  if (!/^[a-z0-9][a-z0-9._-]*$/.test(type))
    throw new Error(`invalid job type '${type}': must match /^[a-z0-9][a-z0-9._-]*$/`);
  if (type.startsWith("happyview.")) throw new Error(`job type '${type}' is reserved for native jobs`);
}
