import { describe, expect, it } from "vitest";
import { checkConfig } from "../../../core/config/schema.ts";
import { databases, type DatabaseSubject } from "../../setup/databases.ts";
import { createAtmosphere, eventually, start, uriOf, type Bench } from "./_bench.ts";

/** One database for several instances, one after another. */
async function shared(subject: DatabaseSubject): Promise<DatabaseSubject & { drop(): Promise<void> }> {
  const { url, drop } = await subject.open();
  return { ...subject, drop, open: async () => ({ url, drop: async () => {} }) };
}

const dids = async (bench: Bench): Promise<string[]> => (await bench.subscriptions()).map(({ did }) => did);

describe.each(databases())("labelers of the config on $name", (subject) => {
  it("come and go with it, and those of admins stay", async () => {
    const database = await shared(subject);
    const network = await createAtmosphere();
    const [one, two, manual] = [
      await network.createLabeler(),
      await network.createLabeler(),
      await network.createLabeler(),
    ];
    await one.emit({ uri: uriOf("a"), val: "one" });
    await manual.emit({ uri: uriOf("a"), val: "manual" });
    const run = (...labelers: { did: string }[]): Promise<Bench> =>
      start(database, { network, config: { labelers: labelers.map(({ did }) => did) } });

    const first = await run(one, two, one);
    await first.add(manual);
    await first.reads(one);
    await first.reads(manual);
    expect(await dids(first)).toEqual([one.did, two.did, manual.did]);
    await first.app.close();

    const second = await run(two);
    expect(await dids(second)).toEqual([two.did, manual.did]);
    await eventually(async () => expect(await second.shown()).toEqual(["a manual"]));
    await second.app.close();

    const third = await run();
    expect(await dids(third)).toEqual([manual.did]);
    await third.app.close();
    await database.drop();
  });

  it("keep what an admin did to them, and become the config's when it names them", async () => {
    const database = await shared(subject);
    const network = await createAtmosphere();
    const labeler = await network.createLabeler();
    const run = (...labelers: string[]): Promise<Bench> => start(database, { network, config: { labelers } });

    const first = await run();
    await first.add(labeler);
    await first.app.close();
    const second = await run(labeler.did);
    await second.admin("PATCH", `/${labeler.did}`, { status: "paused" });
    await second.app.close();
    const third = await run(labeler.did);
    expect(await third.subscriptions()).toMatchObject([{ status: "paused" }]);
    await third.app.close();
    const fourth = await run();
    expect(await dids(fourth)).toEqual([]);
    await fourth.app.close();
    await database.drop();
  });

  it("are as few as all others", async () => {
    const bench = await start(subject, {
      config: { labelers: ["did:plc:one", "did:plc:two"] },
      options: { maxLabelers: 1 },
    });
    expect(await dids(bench)).toEqual(["did:plc:one"]);
  });
});

it("a labeler that is no DID is an error of the config", () => {
  expect(() => checkConfig({ labelers: ["alice.test"] }, "happyview.config.ts")).toThrow(
    "`labelers.0`: expected a DID",
  );
  expect(checkConfig({ labelers: ["did:web:mod.example"] }, "x")).toEqual({
    labelers: ["did:web:mod.example"],
  });
});
