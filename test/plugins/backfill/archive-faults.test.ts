import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { FaultRule } from "../../../playground/network/faults.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { differences } from "../../core/convergence/_stream.ts";
import type { BackfillOptions } from "../../../plugins/backfill/index.ts";
import { databases, type TestDatabase } from "../../setup/databases.ts";
import { fill, openInstance, status, tableOf, worldOf, type Instance } from "./_bench.ts";
import type { Task } from "./_server.ts";
import { pauseAndResume, ways, workAndKill, type Held, type Way } from "./_ways.ts";

const nsid = (method: string): string => `network.bsky.jetstream.${method}`;
const busy = { status: 503, headers: { "Retry-After": "0" }, body: "{}" };

interface ArchiveFault {
  name: string;
  rules: FaultRule[];
  /** The job's own error matches it. @default none */
  error?: RegExp;
}

const blocks: FaultRule = { service: "jetstream-v2", method: nsid("getBlock") };
const plans: FaultRule = { service: "jetstream-v2", method: nsid("planSnapshot") };

/** The faults of an archive, and what must become of a job that meets them. */
const faults: ArchiveFault[] = [
  { name: "is slow", rules: [{ ...blocks, latencyMs: { min: 5, max: 60 }, times: 6 }] },
  {
    name: "says 429",
    rules: [plans, blocks].map((rule) => ({
      ...rule,
      times: 2,
      status: 429,
      headers: { "Retry-After": "0" },
    })),
  },
  {
    name: "has a burst of 5xx",
    rules: [plans, blocks].map((rule) => ({
      ...rule,
      times: 2,
      status: 500,
      headers: { "Retry-After": "0" },
    })),
  },
  { name: "breaks off in its answers", rules: [{ ...blocks, times: 2, truncateAfter: 40 }] },
  { name: "answers with no JSON", rules: [{ ...plans, times: 1, wrongJson: true }] },
  { name: "sends a damaged block", rules: [{ ...blocks, times: 1, damageAt: 20 }] },
  {
    name: "refuses what is after some blocks",
    rules: [
      { ...blocks, times: 3 },
      { ...blocks, status: 403 },
    ],
    error: /could not all be found: getBlock of the archive.* 403/,
  },
];

/** What is after the first blocks does not come before `open` is called. */
function hold(network: Network): () => void {
  let isOpen = false;
  network.faults.add({
    ...blocks,
    lie: (truth, { params }) => (isOpen || Number(params.get("blockIndex")) < 4 ? truth : busy),
  });
  return () => void (isOpen = true);
}

/** A job that meets a fault, with a network and a database of its own. */
interface Trial {
  fault: ArchiveFault;
  network: Network;
  database: TestDatabase;
  instance: Instance;
  held: Held;
}

async function archived(): Promise<Network> {
  const network = await createNetwork({ seed: 29 });
  const { jetstreamV2 } = network;
  jetstreamV2.rowsPerBlock = 5;
  jetstreamV2.plan.wholeSegmentShare = 2; // block by block
  for (const count of [30, 20]) {
    const account = await network.createAccount();
    await fill(account, status, count);
    await account.delete(status, "r003");
    await account.put(status, "r004", { text: "written anew" });
  }
  jetstreamV2.seal();
  return network;
}

const backfillOf = ({ jetstreamV2 }: Network): BackfillOptions => ({ archive: { url: jetstreamV2.url } });

describe.each(databases())("a backfill on $name out of an archive", (subject) => {
  const open = ({ network, database }: Pick<Trial, "network" | "database">, background: boolean) =>
    openInstance(subject, database, { network, backfill: backfillOf(network), background });

  async function begin(fault: ArchiveFault, way: Way): Promise<Trial> {
    const network = await archived();
    for (const rule of fault.rules) network.faults.add(rule);
    const release = fault.error ? () => {} : hold(network);
    if (way === "runs through") release();
    const database = await subject.open();
    const instance = await open({ network, database }, way !== "is killed and started again");
    const hasBegun = async (): Promise<boolean> =>
      (await instance.app.db.get("SELECT 1 AS one FROM happyview_backfill_repos LIMIT 1")) !== undefined;
    const held = { id: await instance.create({ collection: status }), hasBegun, open: release };
    return { fault, network, database, instance, held };
  }

  async function interrupt(trials: readonly Trial[], way: Way): Promise<void> {
    if (way === "is paused and resumed")
      for (const { fault, held, instance } of trials) if (!fault.error) await pauseAndResume(held, instance);
    if (way !== "is killed and started again") return;
    const tasks = trials.map(({ network, database }): Task => {
      const { plcUrl, relayUrl } = network;
      const collections = [status];
      return { databaseUrl: database.url, plcUrl, relayUrl, collections, options: backfillOf(network) };
    });
    await workAndKill(
      tasks,
      trials.map(({ held }) => held),
    );
    for (const trial of trials) {
      await trial.instance.stop();
      trial.instance = await open(trial, true);
    }
  }

  describe.each(ways)("that %s", (way) => {
    const trials: Trial[] = [];

    beforeAll(async () => {
      for (const fault of faults) trials.push(await begin(fault, way));
      await interrupt(trials, way);
    });
    afterAll(async () => {
      for (const { instance, database, network } of trials) {
        await instance.stop();
        await database.drop();
        await network.close();
      }
    });

    test.each(faults)("when it $name", async (fault) => {
      const trial = trials.find((one) => one.fault === fault);
      if (!trial) throw new Error("the job did not begin");
      const { instance, network, held } = trial;
      const { error } = fault;
      expect(await instance.reaches(held.id, "completed")).toMatchObject({
        complete: error === undefined,
        failed_repos: 0,
        error: error ? expect.stringMatching(error) : null,
        plan: { method: "archive" },
      });
      const table = await tableOf(instance);
      // What came before a refusal is there, as far as the log had come.
      if (error) expect(Object.keys(table).length).toBeGreaterThan(0);
      else expect(differences(table, worldOf(network))).toEqual([]);
    });
  });
});
