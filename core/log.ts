import { createConsola, type ConsolaReporter } from "consola";
import { explain } from "./errors.ts";

export type LogLevel = "silent" | "error" | "warn" | "info" | "debug" | "trace";
export type LogFields = Record<string, unknown>;

/** A structured log. `fields` are data; `error` in them is written with its chain of causes. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with an owner's name before each message. */
  child(owner: string): Logger;
}

const levels: Record<LogLevel, number> = { silent: -999, error: 0, warn: 1, info: 3, debug: 4, trace: 5 };

export interface LogOptions {
  /** @default "info", or the environment variable LOG_LEVEL */
  level?: LogLevel;
  /** One JSON object a line instead of text for people. @default true unless standard error is a terminal */
  json?: boolean;
  write?: (line: string) => void;
}

/** Readable on a terminal, one JSON object a line elsewhere; always on standard error, so that `--json` output stays clean. */
export function createLogger(options: LogOptions = {}): Logger {
  const level = options.level ?? toLevel(process.env["LOG_LEVEL"]);
  const json = options.json ?? (process.stderr.isTTY !== true || process.env["CI"] !== undefined);
  const write = options.write ?? ((line: string) => void process.stderr.write(line + "\n"));
  const consola = createConsola({
    level: levels[level],
    ...(json ? { reporters: [jsonReporter(write)] } : { stdout: process.stderr, stderr: process.stderr }),
  });
  const at = (owner: string | undefined): Logger => {
    const tagged = owner ? consola.withTag(owner) : consola;
    const emit =
      (name: "debug" | "info" | "warn" | "error") =>
      (message: string, fields?: LogFields): void => {
        if (json) tagged[name]({ message, fields: plain(fields) });
        else tagged[name](message + readable(fields));
      };
    return {
      debug: emit("debug"),
      info: emit("info"),
      warn: emit("warn"),
      error: emit("error"),
      child: (name) => at(owner ? `${owner}:${name}` : name),
    };
  };
  return at(undefined);
}

function toLevel(text: string | undefined): LogLevel {
  return text !== undefined && text in levels ? (text as LogLevel) : "info"; // the `in` above is the check
}

function jsonReporter(write: (line: string) => void): ConsolaReporter {
  return {
    log(entry) {
      const fields = (entry as { fields?: LogFields }).fields;
      write(
        JSON.stringify({
          time: entry.date.toISOString(),
          level: entry.type,
          ...(entry.tag ? { owner: entry.tag } : {}),
          message: entry.message ?? entry.args.join(" "),
          ...fields,
        }),
      );
    },
  };
}

function plain(fields: LogFields | undefined): LogFields | undefined {
  if (!fields) return undefined;
  return Object.fromEntries(Object.entries(fields).map(([k, v]) => [k, v instanceof Error ? explain(v) : v]));
}

function readable(fields: LogFields | undefined): string {
  const entries = Object.entries(plain(fields) ?? {}).filter(([, v]) => v !== undefined);
  if (entries.length === 0) return "";
  return "  " + entries.map(([k, v]) => `${k}=${typeof v === "string" ? v : JSON.stringify(v)}`).join(" ");
}
