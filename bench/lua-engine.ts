/**
 * The cost of a fresh Lua run with everything around it: record in as JSON text, ten lines of Lua, record out as
 * JSON text. The calibration in the same process is JSON.parse and JSON.stringify of the same record.
 * Run it with: node bench/lua-engine.ts
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { connect } from "../core/db/database.ts";
import { createLogger } from "../core/log.ts";
import { createUtilities } from "../plugins/lua-scripts/api/utilities.ts";
import { createLua54Engine } from "../plugins/lua-scripts/engine/lua54/index.ts";
import { createPool } from "../plugins/lua-scripts/engine/pool.ts";
import { limitsFor, toEngineRun, type ScriptRun } from "../plugins/lua-scripts/engine/script-run.ts";

const body = `
local function slug(text)
  return (text:lower():gsub("[^%w]+", "-"):gsub("^-+", ""))
end
function handle()
  if not record.title or #record.title > 300 then return nil end
  record.slug = slug(record.title)
  record.indexedBy = env.NAME
  if action == "create" then record.firstSeen = now() end
  for i, tag in ipairs(record.tags) do record.tags[i] = tag:lower() end
  return record
end
`;
const record = {
  $type: "com.example.post",
  title: "A rather ordinary title, with some punctuation",
  text: "Lorem ipsum dolor sit amet, consectetur adipiscing elit. ".repeat(6),
  tags: ["One", "Two", "Three"],
  langs: ["en"],
  createdAt: "2026-05-20T12:00:00.000Z",
  reply: { root: { uri: "at://did:plc:abc/com.example.post/1", cid: "bafyreia" }, depth: 3 },
};
const text = JSON.stringify(record);
const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
const job: ScriptRun = {
  kind: "record",
  script: { trigger: "record.index:com.example.post", body },
  env: { NAME: "bench" },
  event: {
    action: "create",
    uri: `at://${did}/com.example.post/1`,
    did,
    collection: "com.example.post",
    rkey: "1",
    record: text,
  },
};

const engine = createLua54Engine({
  utilities: createUtilities({ now: Date.now, random: Math.random }),
  api: {},
  seed: () => [1n, 2n],
});
const run = toEngineRun(job, limitsFor("record", {}));
const empty = { ...run, body: "function handle() return nil end" };
let changing = 0;

const rows: [string, number][] = [
  ["calibration: JSON.parse + JSON.stringify", microseconds(() => void JSON.stringify(JSON.parse(text)))],
  ["fresh run, ten lines, record in and out", microseconds(() => void engine.run(run))],
  [
    "the same, script not seen before",
    microseconds(() => void engine.run({ ...run, body: `${body}--${changing++}` })),
  ],
  ["fresh run that returns nil", microseconds(() => void engine.run(empty))],
  [
    "fresh run that returns nil, no record",
    microseconds(() => void engine.run({ ...empty, globals: `{"event":{},"env":{}}` })),
  ],
];
engine.close();

const folder = mkdtempSync(join(tmpdir(), "happyview-bench-"));
const database = await connect({ url: `file:${join(folder, "bench.db")}` });
const pool = createPool({ database: database.source, log: createLogger({ level: "warn" }) });
rows.push(["calibration: a message to a thread and back", await echoed()]);
for (const inFlight of [1, 32])
  rows.push([`through the pool, ${inFlight} in flight`, await pooled(inFlight)]);
await pool.close();
await database.close();
rmSync(folder, { recursive: true });

const unit = rows[0]?.[1] ?? 1;
for (const [name, us] of rows)
  console.log(`${name.padEnd(45)}${us.toFixed(1).padStart(9)} µs${(us / unit).toFixed(1).padStart(8)} ×`);

function microseconds(work: () => void): number {
  const round = (times: number): number => {
    const start = performance.now();
    for (let i = 0; i < times; i++) work();
    return ((performance.now() - start) / times) * 1000;
  };
  round(2000);
  return Math.min(...Array.from({ length: 5 }, () => round(4000)));
}

async function pooled(inFlight: number): Promise<number> {
  const times = 8000;
  const lane = async (): Promise<void> => {
    for (let i = 0; i < times / inFlight; i++) await pool.run(job);
  };
  const round = async (): Promise<number> => {
    const start = performance.now();
    await Promise.all(Array.from({ length: inFlight }, lane));
    return ((performance.now() - start) / times) * 1000;
  };
  await round();
  return Math.min(await round(), await round());
}

async function echoed(): Promise<number> {
  const code = `const { parentPort } = require("node:worker_threads"); parentPort.on("message", (m) => parentPort.postMessage(m))`;
  const worker = new Worker(code, { eval: true });
  const times = 4000;
  const round = async (): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < times; i++) {
      const answer = new Promise((resolve) => worker.once("message", resolve));
      worker.postMessage(job, []);
      await answer;
    }
    return ((performance.now() - start) / times) * 1000;
  };
  await round();
  const result = Math.min(await round(), await round());
  await worker.terminate();
  return result;
}
