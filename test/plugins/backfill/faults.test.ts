import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import type { JobView } from "../../../plugins/backfill/job.ts";
import { differences } from "../../core/convergence/_stream.ts";
import { databases, type TestDatabase } from "../../setup/databases.ts";
import {
  eventually,
  openInstance,
  tableOf,
  watchRequests,
  worldOf,
  type Instance,
  type SeenRequest,
} from "./_bench.ts";
import { arrangeWorld, createCast, faultCases, type Cast, type FaultCase, type World } from "./_faults.ts";
import { pauseAndResume, ways, workAndKill, type Held } from "./_ways.ts";

const options = { pageTimeoutMs: 1000 };

/** A job that meets a fault. */
interface Trial {
  fault: FaultCase;
  world: World;
  id: string;
}

interface Ending {
  world: World;
  job: JobView;
  errors: { did: string; kind: string; message: string }[];
  table: Record<string, string>;
}

/** Alice was looked up, and the host of Bob was asked. */
const hasBegun = ({ seen, alice, bob }: World): boolean =>
  seen.some(({ did }) => did === alice.did) &&
  seen.some(({ did, service }) => did === bob.did && service === "pds");

const held = ({ world, id }: Trial): Held => ({ id, hasBegun: () => hasBegun(world), open: world.open });

async function endingOf({ world, id }: Trial, instance: Instance): Promise<Ending> {
  const { pipeline } = instance.app.records;
  // The stream brings its events while the job goes on, and the last of them at the end.
  const job = await eventually(async () => {
    await pipeline.ingestMany(world.events.splice(0, 2));
    return instance.reachesNow(id, "completed");
  });
  await pipeline.ingestMany(world.events.splice(0));
  const { body } = await instance.ask<Pick<Ending, "errors">>(`GET /backfill/${id}/errors`);
  const inCollection = ([uri]: [string, string]): boolean => uri.includes(`/${world.collection}/`);
  const table = Object.fromEntries(Object.entries(await tableOf(instance)).filter(inCollection));
  return { world, job, errors: body.errors, table };
}

let network: Network;
let seen: SeenRequest[];
const casts = new Map<string, Cast>();
let count = 0;

/** Each case has accounts and a collection of its own, which serve again where nothing happens to them. */
async function castOf({ name, isMutating = false }: FaultCase, host: number): Promise<Cast> {
  const known = casts.get(name);
  if (known) return known;
  const cast = await createCast(network, host, `com.example.case${count++}`);
  if (!isMutating) casts.set(name, cast);
  return cast;
}

beforeAll(async () => {
  network = await createNetwork({ seed: 16, hosts: 2 * faultCases.length });
  seen = watchRequests(network);
});
afterAll(() => network.close());

describe.each(databases())("a backfill on $name", (subject) => {
  describe.each(ways)("that %s", (way) => {
    const endings = new Map<string, Ending>();
    let database: TestDatabase;
    let instance: Instance | undefined;

    beforeAll(async () => {
      database = await subject.open();
      network.faults.clear();
      seen.length = 0;
      const worlds: World[] = [];
      for (const [i, fault] of faultCases.entries()) {
        const parts = { network, seen, host: 2 * i, ...(await castOf(fault, 2 * i)) };
        worlds.push(await arrangeWorld(fault, parts));
      }
      const collections = worlds.map(({ collection }) => collection);
      const open = (background: boolean): Promise<Instance> =>
        openInstance(subject, database, { network, collections, backfill: options, background });
      instance = await open(way !== "is killed and started again");
      const trials: Trial[] = [];
      for (const [i, fault] of faultCases.entries()) {
        const world = worlds[i] as World; // made of the same list
        const { collection } = world;
        if (way === "runs through") world.open();
        trials.push({ fault, world, id: await instance.create({ collection, method: fault.method }) });
      }
      if (way === "is killed and started again") {
        const { plcUrl, relayUrl } = network;
        const task = { databaseUrl: database.url, plcUrl, relayUrl, collections, options };
        await workAndKill([task], trials.map(held));
        await instance.stop();
        instance = await open(true);
      }
      const running = instance;
      await Promise.all(
        trials.map(async (trial) => {
          if (way === "is paused and resumed") await pauseAndResume(held(trial), running);
          endings.set(trial.fault.name, await endingOf(trial, running));
        }),
      );
    });
    afterAll(async () => {
      await instance?.stop();
      await database.drop();
    });

    test.each(faultCases)("when $name", ({ name, errors = {}, error }) => {
      const ending = endings.get(name);
      if (!ending) throw new Error("the job did not end");
      const { world, job, table } = ending;
      const { alice, anna, bob } = world;
      const nameOf = (did = ""): string =>
        ({ [alice.did]: "alice", [anna.did]: "anna", [bob.did]: "bob" })[did] ?? did;
      expect(Object.fromEntries(ending.errors.map(({ did, kind }) => [nameOf(did), kind]))).toEqual(errors);
      expect(ending.errors.every(({ message }) => message !== "")).toBe(true);
      const failed = Object.keys(errors).length;
      expect(job).toMatchObject({
        total_repos: 3,
        processed_repos: 3,
        failed_repos: failed,
        removed_records: 0,
      });
      expect(job.error_counts).toEqual(countsOf(Object.values(errors)));
      expect(job.error).toEqual(error === undefined ? null : expect.stringContaining(error));
      expect(job.complete).toBe(error === undefined && failed === 0);
      // Of what failed there is nothing that is not true; everything else is there.
      const truth = worldOf(network, [world.collection]);
      const expected = Object.entries(truth).filter(
        ([uri]) => uri in table || !(nameOf(uri.split("/")[2]) in errors),
      );
      expect(differences(table, Object.fromEntries(expected))).toEqual([]);
      // One bad record hides no other.
      if (errors.alice === "cid_mismatch") expect(Object.keys(table)).toHaveLength(expected.length);
      if (errors.alice === "cid_mismatch") expect(expected).toHaveLength(Object.keys(truth).length - 1);
    });
  });
});

function countsOf(kinds: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}
