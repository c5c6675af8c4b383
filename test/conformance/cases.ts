import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export type Kind = "query" | "procedure" | "record" | "label" | "job";

/** One case of the corpus; README.md says what each key means. */
export interface Case {
  /** Path below `lua/`. */
  file: string;
  name: string;
  /** Of the first line of the script in the file, to find it. */
  fileLine: number;
  kind: Kind;
  trigger: string;
  body: string;
  /** Other scripts that have to be there, by trigger. */
  scripts: readonly { trigger: string; body: string }[];
  keys: Readonly<Record<string, string>>;
}

const defaultTriggers: Record<Kind, string> = {
  query: "xrpc.query:org.example.query",
  procedure: "xrpc.procedure:org.example.procedure",
  record: "record.index:org.example.item",
  label: "labeler.apply:org.example.item",
  job: "job.run:conformance",
};

const knownKeys: ReadonlySet<string> = new Set(
  (
    "kind spec trigger dialect runs params input caller env event stored seed labels pds expect " +
    "expect-text expect-status expect-error expect-outcome expect-refused expect-logs expect-rows expect-pds"
  ).split(" "),
);

const folder = new URL("lua/", import.meta.url);

/** Every case, file by file in the order of their names. */
export function readCorpus(): { file: string; cases: Case[] }[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".lua"))
    .toSorted()
    .map((file) => ({
      file,
      cases: parseCases(file, readFileSync(fileURLToPath(new URL(file, folder)), "utf8")),
    }));
}

export function parseCases(file: string, text: string): Case[] {
  const [head = "", ...sections] = text.split(/^---@case /m);
  const defaults = readHeader(file, head).keys;
  let fileLine = lines(head);
  const names = new Set<string>();
  return sections.map((section) => {
    const [title = "", ...rest] = section.split("\n");
    const name = title.trim();
    if (names.has(name)) throw new Error(`${file}: two cases are named '${name}'`);
    names.add(name);
    const [main = "", ...others] = rest.join("\n").split(/^---@script /m);
    const header = readHeader(`${file}: ${name}`, main);
    const keys = { ...defaults, ...header.keys };
    const kind = (keys["kind"] ?? "query") as Kind; // checked by the next line
    if (!(kind in defaultTriggers)) throw new Error(`${file}: ${name}: unknown kind '${kind}'`);
    if (!Object.keys(keys).some((key) => key.startsWith("expect")))
      throw new Error(`${file}: ${name}: nothing is expected`);
    const trigger = keys["trigger"] ?? defaultTriggers[kind];
    const start = fileLine + 1 + header.length + 1;
    fileLine += lines(section);
    return {
      file,
      name,
      kind,
      trigger,
      keys,
      fileLine: start,
      body: header.body.trimEnd() + "\n",
      scripts: others.map(otherScript),
    };
  });
}

function otherScript(section: string): { trigger: string; body: string } {
  const end = section.indexOf("\n");
  return { trigger: section.slice(0, end).trim(), body: section.slice(end + 1).trimEnd() + "\n" };
}

/** Leading `-- key: value` lines; a line `--| more` goes on with the value above it. */
function readHeader(
  where: string,
  text: string,
): { keys: Record<string, string>; body: string; length: number } {
  const keys: Record<string, string> = {};
  const all = text.split("\n");
  let last: string | undefined;
  let at = 0;
  for (; at < all.length; at++) {
    const line = all[at] ?? "";
    const more = last === undefined ? null : /^--\|\s?(.*)$/.exec(line);
    const entry = /^-- ([a-z-]+):(?: (.*))?$/.exec(line);
    if (more && last !== undefined) keys[last] += more[1] ?? "";
    else if (entry?.[1] !== undefined) keys[(last = entry[1])] = entry[2] ?? "";
    else break;
    if (last !== undefined && !knownKeys.has(last)) throw new Error(`${where}: unknown key '${last}'`);
  }
  return { keys, body: all.slice(at).join("\n"), length: at };
}

function lines(text: string): number {
  return text.split("\n").length - 1;
}
