import type { LimitName, ScriptFailure } from "../engine.ts";
import { exceed, type ActiveRun } from "./active-run.ts";
import { status, type, typeNames } from "./constants.ts";
import type { Machine } from "./machine.ts";
import { readText, type Vm } from "./vm.ts";

const reportBytes = 1024 * 1024;
const maxTextChars = 16 * 1024;
/** LUA_IDSIZE less its zero: Lua cuts a longer chunk name in its messages. */
const chunkNameBytes = 59;

/** How the chunks of `require("lib.…")` are named. */
const modulePosition = /^scripts\/lib\/[^:]+:\d+: /;

/** What the script sees, again and again, once it has passed a limit. */
export const limitText = "script exceeded execution limit";
export const memoryText = "not enough memory";

/** What a run that ended with a Lua error says. The error value is on top of its thread, the stack still stands. */
export function describeFailure(vm: Vm, run: ActiveRun, code: number): ScriptFailure {
  const { machine } = run;
  // A script that used up its memory must still leave room for the words that say so.
  machine.arena.limit = run.request.limits.memoryBytes + reportBytes;
  const raw = cut(errorText(vm, machine));
  const traceback = toTraceback(tracebackText(vm, run), run.request.chunkName);
  if (code === status.memory) exceed(run, "memoryBytes", memoryText);
  if (run.exceeded) return limitFailure(run, raw, traceback);
  return { type: run.phase === "load" ? "syntax" : "runtime", ...placed(raw, traceback, run), traceback };
}

/** An error in a module keeps its place in the message; the line is the one of the script that led there. */
export function placed(
  raw: string,
  traceback: string,
  run: ActiveRun<unknown>,
): { message: string; line: number | null } {
  const { message, line } = bare(raw, run.request.chunkName);
  return { message, line: line ?? (modulePosition.test(message) ? lineOf(traceback, run) : null) };
}

/** A run that passed a limit, whatever it ended with. */
export function limitFailure(run: ActiveRun<unknown>, raw = "", traceback = ""): ScriptFailure {
  const { limit, message } = run.exceeded ?? { limit: "milliseconds", message: limitText };
  const line = bare(raw, run.request.chunkName).line ?? lineOf(traceback, run);
  return { type: limitTypes[limit] ?? "runtime", message, line, traceback, limit };
}

const limitTypes: Partial<Record<LimitName, ScriptFailure["type"]>> = {
  instructions: "timeout",
  milliseconds: "timeout",
  memoryBytes: "memory",
};

/** Lua's traceback without ours: the script's own frames under its whole name, and what they called. */
export function toTraceback(text: string, chunkName: string): string {
  const name = `\t${shortName(chunkName)}:`;
  const lines: string[] = [];
  let isOurs = false;
  for (const line of text.split("\n")) {
    const isTail = line === "\t(...tail calls...)";
    isOurs = line.startsWith("\thost:") || (isOurs && isTail);
    if (!isOurs) lines.push(line.startsWith(name) ? `\t${chunkName}:${line.slice(name.length)}` : line);
    // The C functions that our own code called.
    else while (lines.at(-1)?.startsWith("\t[C]:")) lines.pop();
  }
  // The function every run starts in.
  if (lines.at(-1) === "\t[C]: in ?") lines.pop();
  return cut(lines.join("\n"));
}

/** The innermost line of the script in such a traceback. */
export function lineOf(traceback: string, { request }: Pick<ActiveRun<unknown>, "request">): number | null {
  const name = `\t${request.chunkName}:`;
  for (const text of traceback.split("\n")) {
    const line = text.startsWith(name) ? /^(\d+):/.exec(text.slice(name.length)) : null;
    if (line) return Number(line[1]);
  }
  return null;
}

function shortName(chunkName: string): string {
  return Buffer.from(chunkName).subarray(0, chunkNameBytes).toString();
}

/** Takes the positions off a Lua message: `record.index:app.bsky:3: text` is line 3 and `text`. */
export function bare(raw: string, chunkName: string): { message: string; line: number | null } {
  const name = shortName(chunkName);
  let message = raw;
  let line: number | null = null;
  for (;;) {
    const prefix = [name, "host"].find((known) => message.startsWith(`${known}:`));
    const position = prefix === undefined ? undefined : /^:(\d+): /.exec(message.slice(prefix.length));
    if (prefix === undefined || !position) return { message, line };
    if (prefix === name) line ??= Number(position[1]);
    message = message.slice(prefix.length + position[0].length);
  }
}

/** The error value as text. An error may be a table whose __tostring is the script's, and may refuse. */
function errorText(vm: Vm, { L: main, thread }: Machine): string {
  const plain = readText(vm, thread, -1);
  if (plain !== undefined) return plain;
  const { api } = vm.lua;
  const kind = api.lua_type(thread, -1);
  let text: string | undefined;
  api.lua_xmove(thread, main, 1);
  if (kind === type.table && api.luaL_getmetafield(main, -1, vm.names.tostring) !== type.nil) {
    api.lua_rotate(main, -2, 1);
    if (api.lua_pcallk(main, 1, 1, 0, 0, 0) === status.ok) text = readText(vm, main, -1);
  }
  return text ?? `(error object is a ${typeNames[kind] ?? "unknown"} value)`;
}

function tracebackText(vm: Vm, run: ActiveRun): string {
  const { L, thread } = run.machine;
  let text = "";
  vm.protect(L, (state) => {
    vm.lua.api.luaL_traceback(state, thread, 0, 0);
    text = readText(vm, state, -1) ?? "";
  });
  return text;
}

export function cut(text: string): string {
  return text.length > maxTextChars ? `${text.slice(0, maxTextChars)}…` : text;
}
