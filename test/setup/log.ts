import { createLogger, type Logger } from "../../core/log.ts";

export const silent: Logger = createLogger({ level: "silent" });

export interface LogLine {
  level: string;
  owner?: string;
  message: string;
  [field: string]: unknown;
}

/** A log that keeps its lines, for tests of what operators are told. */
export function createRecordingLog(): { log: Logger; lines: LogLine[]; messages(level: string): string[] } {
  const lines: LogLine[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as LogLine);
  return {
    log: createLogger({ level: "debug", json: true, write }),
    lines,
    messages: (level) => lines.filter((line) => line.level === level).map((line) => line.message),
  };
}
