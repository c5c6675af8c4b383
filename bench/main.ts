import { mkdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createLogger } from "../core/log.ts";
import { build } from "../core/server/build.ts";
import { backfill, backfillMemory } from "./backfill.ts";
import { beside } from "./beside.ts";
import { postgresServer, sqliteFiles } from "./databases.ts";
import { hostile } from "./hostile.ts";
import { ingest } from "./ingest.ts";
import { memory } from "./memory.ts";
import { reads } from "./reads.ts";
import { seed } from "./seed.ts";

/** One measured number, and what it is measured against in the same run. */
export interface Figure {
  name: string;
  value: number;
  unit: string;
  beside?: string;
  calibration?: number;
  /** The least that value ÷ calibration should be. */
  target?: number;
  /** The most that it should be. */
  most?: number;
}

const help = `Measures, each figure beside a calibration of the same run: machines differ, the ratio is the result.

  npm run bench -- [--only reads,hostile,ingest,beside,backfill,memory] [--database sqlite,postgres]
    [--rows 100000] [--events 200000] [--repos 100000] [--seconds 5] [--json]

reads and hostile use SQLite; memory reads five times as many events.
`;

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "reads,hostile,ingest,beside,backfill" },
    database: { type: "string", default: "sqlite" },
    rows: { type: "string", default: "100000" },
    events: { type: "string", default: "200000" },
    repos: { type: "string", default: "100000" },
    seconds: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (values.help) process.stdout.write(help);
else await bench();

async function bench(): Promise<void> {
  const root = fileURLToPath(new URL("project", import.meta.url));
  const data = fileURLToPath(new URL("../.data/bench", import.meta.url));
  rmSync(data, { recursive: true, force: true });
  mkdirSync(data, { recursive: true });
  const wanted = values.only.split(",");
  const figures: Figure[] = [];
  const say = (text: string): void => void process.stderr.write(`${text}\n`);

  say("building bench/project …");
  const { outDir } = await build({ root, preset: "node", log: createLogger({ level: "error" }) });
  const entry = `${outDir}/server/index.mjs`;
  if (wanted.includes("reads") || wanted.includes("hostile")) {
    const databaseFile = `${data}/reads.db`;
    say(`seeding ${values.rows} rows …`);
    await seed(root, `file:${databaseFile}`, Number(values.rows));
    if (wanted.includes("reads"))
      figures.push(...(await reads({ entry, databaseFile, seconds: Number(values.seconds) })));
    if (wanted.includes("hostile")) figures.push(...(await hostile({ entry, databaseFile })));
  }
  for (const dialect of values.database.split(",")) {
    const databases = dialect === "postgres" ? await postgresServer() : sqliteFiles(data);
    const options = {
      entry,
      root,
      databases,
      events: Number(values.events),
      seconds: Number(values.seconds),
    };
    const on = (made: Figure[]): void =>
      void figures.push(...made.map((figure) => ({ ...figure, name: `${figure.name}, ${dialect}` })));
    try {
      say(`on ${dialect} …`);
      if (wanted.includes("ingest")) on(await ingest(options));
      if (wanted.includes("beside")) on(await beside({ ...options, events: 3 * options.events }));
      if (wanted.includes("backfill")) on(await backfill(options));
      if (wanted.includes("memory")) {
        on(await memory({ ...options, events: 5 * options.events }));
        on(await backfillMemory(options, Number(values.repos)));
      }
    } finally {
      await databases.stop();
    }
  }
  if (values.json) process.stdout.write(`${JSON.stringify(figures)}\n`);
  else console.table(figures.map(toRow));
}

function toRow({ name, value, unit, beside, calibration, target, most }: Figure): Record<string, unknown> {
  return {
    figure: name,
    value: `${value} ${unit}`,
    beside: beside ? `${calibration} (${beside})` : "",
    ratio: calibration ? (value / calibration).toFixed(2) : "",
    target: target ? `≥ ${target.toFixed(2)}` : most ? `≤ ${most.toFixed(2)}` : "",
  };
}
