import { mkdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createLogger } from "../core/log.ts";
import { build } from "../core/server/build.ts";
import { backfill } from "./backfill.ts";
import { hostile } from "./hostile.ts";
import { ingest } from "./ingest.ts";
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
}

const help = `Measures, each figure beside a calibration of the same run: machines differ, the ratio is the result.

  npm run bench -- [--only reads,ingest,hostile,backfill] [--rows 100000] [--events 1000000] [--seconds 5] [--json]
`;

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "reads,ingest,hostile,backfill" },
    rows: { type: "string", default: "100000" },
    events: { type: "string", default: "1000000" },
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
  if (wanted.includes("ingest")) {
    say(`ingesting ${values.events} events …`);
    figures.push(...(await ingest({ entry, root, folder: data, events: Number(values.events) })));
  }
  if (wanted.includes("backfill")) {
    say("backfilling …");
    figures.push(...(await backfill({ entry, root, folder: data })));
  }
  if (values.json) process.stdout.write(`${JSON.stringify(figures)}\n`);
  else console.table(figures.map(toRow));
}

function toRow({ name, value, unit, beside, calibration, target }: Figure): Record<string, unknown> {
  return {
    figure: name,
    value: `${value} ${unit}`,
    beside: beside ? `${calibration} (${beside})` : "",
    ratio: calibration ? (value / calibration).toFixed(2) : "",
    target: target === undefined ? "" : `≥ ${target.toFixed(2)}`,
  };
}
