import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import { databases } from "../../setup/databases.ts";
import { jsonBody, queryLexicon } from "../../suites/http/subject.ts";

export interface Answer {
  status: number;
  body: unknown;
}

/** An instance in a process of its own, spoken to by HTTP. */
export interface Attacked {
  /** Runs the body of a `handle` as a query. */
  run(code: string): Promise<Answer>;
  /** The same script again, with parameters. */
  again(params?: string): Promise<Answer>;
  /** Requests to another script, all at once; how many were answered as they should. */
  others(count: number): Promise<number>;
  mebibytes(): Promise<number>;
  /** An address that never answers. */
  stalled: string;
  /** Cuts the connections to it. */
  hangUp(): void;
  stop(): Promise<void>;
}

/** @param milliseconds what a run may take */
export async function startAttacked(milliseconds: number): Promise<Attacked> {
  const [sqlite] = databases();
  if (!sqlite) throw new Error("there is no SQLite");
  const { url: database, drop } = await sqlite.open();
  const silent = createServer(() => {});
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo; // it listens on a port
  const child = spawn(
    process.execPath,
    [
      "--conditions=happyview-source",
      "--expose-gc",
      fileURLToPath(new URL("_attacked-server.ts", import.meta.url)),
      database,
      `127.0.0.1:${port}`,
      String(milliseconds),
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  const { url, adminHeaders } = JSON.parse(line) as { url: string; adminHeaders: Record<string, string> }; // what the server writes
  const post = async (path: string, body: unknown): Promise<void> => {
    const response = await fetch(url + path, jsonBody("POST", body, adminHeaders));
    if (!response.ok) throw new Error(`${path} answers ${response.status}: ${await response.text()}`);
  };
  const script = (id: string, code: string): Promise<void> =>
    post("/admin/scripts", { id: `xrpc.query:${id}`, body: `function handle()\n${code}\nend` });
  const ask = async (id: string, params = ""): Promise<Answer> => {
    const response = await fetch(`${url}/xrpc/${id}${params}`);
    return { status: response.status, body: await response.json() };
  };
  await post("/admin/lexicons", { lexicon_json: queryLexicon("org.example.attack") });
  await post("/admin/lexicons", { lexicon_json: queryLexicon("org.example.other") });
  await script("org.example.other", "return { sum = params.limit + 1 }");
  return {
    async run(code) {
      await script("org.example.attack", code);
      return ask("org.example.attack");
    },
    again: (params) => ask("org.example.attack", params),
    async others(count) {
      const asked = Array.from({ length: count }, async (_, i) => {
        const { status, body } = await ask("org.example.other", `?limit=${i}`);
        return status === 200 && (body as { sum?: unknown }).sum === i + 1 ? 1 : 0;
      });
      return (await Promise.all(asked)).reduce<number>((sum, one) => sum + one, 0);
    },
    async mebibytes() {
      const { rss } = (await (await fetch(`${url}/memory`)).json()) as { rss: number };
      return rss / 2 ** 20;
    },
    stalled: `http://127.0.0.1:${port}/`,
    hangUp: () => silent.closeAllConnections(),
    async stop() {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
      silent.closeAllConnections();
      silent.close();
      await drop();
    },
  };
}
