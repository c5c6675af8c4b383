import { Secp256k1Keypair } from "@atproto/crypto";
import { createOzoneDid, TestOzone, TestPlc } from "@atproto/dev-env";
import { inject, afterAll, beforeAll, expect, it } from "vitest";
import type { Network } from "../../../playground/network/network.ts";
import { databases } from "../../setup/databases.ts";
import { freePort } from "../../setup/port.ts";
import { author, eventually, start, uriOf, type Bench } from "./_bench.ts";

// The published labeler, none of it ours: its signatures, its stream, its answers by URI.
const cid = "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454";
let plc: TestPlc;
let ozone: TestOzone;
let did: string;

beforeAll(async () => {
  plc = await TestPlc.create({});
  const key = await Secp256k1Keypair.create({ exportable: true });
  did = await createOzoneDid(plc.url, key);
  const port = await freePort();
  await plc.getClient().updateData(did, key, (last) => ({
    ...last,
    services: { atproto_labeler: { type: "AtprotoLabeler", endpoint: `http://localhost:${port}` } },
  }));
  ozone = await TestOzone.create({
    plcUrl: plc.url,
    port,
    signingKey: key,
    serverDid: did,
    dbPostgresUrl: `${inject("postgresUrl")}postgres`,
    dbPostgresSchema: "ozone_labels",
    appviewUrl: "http://localhost:9",
    appviewDid: "did:example:appview",
    appviewPushEvents: false,
  });
});
afterAll(async () => {
  await ozone?.close();
  await plc?.close();
});

async function label(
  uri: string,
  change: { create?: string[]; negate?: string[] },
  of: string | null = null,
) {
  const { ctx } = ozone;
  await ctx.modService(ctx.db).formatAndCreateLabels(uri, of, change);
}

it("reads Ozone", { timeout: 60_000 }, async () => {
  await label(author, { create: ["bot"] });
  await label(uriOf("a"), { create: ["spam", "rude"] }, cid);
  await label(uriOf("a"), { negate: ["rude"] }, cid);
  const [sqlite] = databases();
  if (!sqlite) throw new Error("no database");
  // Of the simulator nothing but the address of the directory is used.
  const bench: Bench = await start(sqlite, { network: { plcUrl: plc.url } as Network });
  expect((await bench.admin("POST", "", { did })).status).toBe(201);
  await eventually(async () => expect(await bench.shown()).toEqual(["a spam", `${author} bot`].toSorted()));
  expect((await bench.labels()).find(({ val }) => val === "spam")).toMatchObject({ src: did, cid });
  await label(author, { negate: ["bot"] });
  await label(uriOf("b"), { create: ["late"] });
  await eventually(async () => expect(await bench.shown()).toEqual(["a spam", "b late"]));

  // By URI, as from a labeler whose stream does not reach back.
  const { db } = bench.app;
  await db.run("UPDATE happyview_labeler_subscriptions SET history = 'partial'");
  await db.run("DELETE FROM happyview_labels");
  await eventually(async () => {
    await bench.index("a");
    expect(await bench.shown()).toEqual(["a spam"]);
  });
  expect(await bench.metrics()).not.toMatch(/outcome="refused"\} [1-9]/);
});
