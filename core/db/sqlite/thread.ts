import { parentPort } from "node:worker_threads";
import { closeWriter, openWriter } from "./connection.ts";
import { createStatements, type Connection, type Statements } from "./statements.ts";

/** What the main thread asks for; answered in the order of asking. */
export type Request = { id: number; database: number } & (
  | { kind: "open"; file: string }
  | { kind: "perform"; name: keyof Statements; args: readonly unknown[] }
  | { kind: "close" }
);

/** An error without the `code` it had would not tell whether trying again helps: errors lose it on the way. */
export type Answer =
  | { id: number; value: unknown }
  | { id: number; error: { name: string; message: string; code: string | undefined } };

const databases = new Map<number, { connection: Connection; statements: Statements }>();

function answer(request: Request): unknown {
  const { database } = request;
  if (request.kind === "open") {
    const connection = openWriter(request.file);
    databases.set(database, { connection, statements: createStatements(connection) });
    return undefined;
  }
  const found = databases.get(database);
  if (!found && request.kind === "close") return undefined;
  if (!found) throw new TypeError("The database connection is not open");
  if (request.kind === "perform") {
    const perform = found.statements[request.name] as (...args: readonly unknown[]) => unknown;
    return perform(...request.args);
  }
  databases.delete(database);
  closeWriter(found.connection);
  return undefined;
}

const port = parentPort;
port?.on("message", (request: Request) => {
  const { id } = request;
  const send = (message: Answer): void => port.postMessage(message, []);
  try {
    send({ id, value: answer(request) });
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    const code =
      typeof error === "object" && error !== null && "code" in error ? String(error.code) : undefined;
    send({ id, error: { name, message, code } });
  }
});
