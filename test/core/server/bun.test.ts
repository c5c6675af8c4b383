import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const mebibytes = 1024 * 1024;

describe("the server for Bun", () => {
  let child: ChildProcess;
  let url: string;

  beforeAll(async () => {
    const bun = join(
      dirname(createRequire(import.meta.url).resolve("bun/package.json")),
      "..",
      ".bin",
      "bun",
    );
    child = spawn(bun, [fileURLToPath(new URL("_bun-server.ts", import.meta.url))], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    [url] = (await once(createInterface({ input: child.stdout! }), "line")) as [string]; // a pipe, as asked for above
  });
  afterAll(() => void child.kill("SIGKILL"));

  const post = (size: number, query = ""): Promise<Response> =>
    fetch(url + query, { method: "POST", body: new Uint8Array(size) });

  test("says where a request comes from", async () => {
    expect(await (await fetch(url)).json()).toEqual({ size: 0, from: "127.0.0.1" });
  });

  test("takes a blob of 50 MiB where that much may be read, and refuses more in our words", async () => {
    const max = `?max=${50 * mebibytes}`;
    expect(await (await post(50 * mebibytes, max)).json()).toMatchObject({ size: 50 * mebibytes });
    const larger = await post(50 * mebibytes + 1, max);
    expect([larger.status, await larger.text()]).toEqual([413, "length limit exceeded"]);
    const other = await post(3 * mebibytes);
    expect([other.status, await other.text()]).toEqual([413, "length limit exceeded"]);
  });
});
