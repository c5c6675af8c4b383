import { Client, l } from "@atproto/lex";
import { createAgent } from "@happyview/lex-agent";
import { afterAll, beforeAll, expect, test } from "vitest";
import { apiClients } from "../../plugins/api-clients/index.ts";
import { dpopSessions } from "../../plugins/dpop-sessions/index.ts";
import { startAtmosphere, type Atmosphere } from "./_atmosphere.ts";
import { startInstance, type Instance } from "./_instance.ts";
import { openSdk, signInAs } from "./_sdk.ts";
import { client, collection, lexicon } from "./_statusphere.ts";

// The published Client of the AT Protocol's own `lex`, with HappyView's published agent: typed by what `lex build` makes.
const status = l.record("tid", collection, l.object({ status: l.string(), createdAt: l.string() }));
const list = l.query(
  "xyz.statusphere.list",
  l.params({ did: l.optional(l.string()) }),
  l.jsonPayload({ records: l.array(l.object({ uri: l.string(), status: l.string() })) }),
);
const set = l.procedure(
  "xyz.statusphere.set",
  l.params({}),
  l.jsonPayload({ status: l.string(), createdAt: l.string() }),
  l.jsonPayload({ uri: l.string(), cid: l.string() }),
);

let atmosphere: Atmosphere;
let instance: Instance;

beforeAll(async () => {
  atmosphere = await startAtmosphere("alice");
  instance = await startInstance(
    atmosphere,
    {
      plugins: [apiClients({ clients: [client] }), dpopSessions()],
      lexicons: {
        "xyz.statusphere.list": { targetCollection: collection },
        "xyz.statusphere.set": { targetCollection: collection },
      },
    },
    {
      files: {
        lexicons: [
          lexicon(collection, "record"),
          lexicon("xyz.statusphere.list", "query"),
          lexicon("xyz.statusphere.set", "procedure"),
        ],
      },
    },
  );
});

afterAll(async () => {
  await instance?.close();
  await atmosphere?.close();
});

test("calls our own methods and the standard ones, and knows what is refused", async () => {
  const session = await signInAs(openSdk(instance.url, atmosphere), "alice", atmosphere);
  const lex = new Client(createAgent(session));
  expect(lex.did).toBe(session.did);
  const createdAt = new Date().toISOString();

  const { uri } = await lex.call(set, { status: "one", createdAt });
  const made = await lex.create(status, { status: "two", createdAt });
  const { records } = await lex.call(list, { did: session.did });
  expect(records.map((record) => [record.uri, record.status]).toSorted()).toEqual(
    [
      [uri, "one"],
      [made.uri, "two"],
    ].toSorted(),
  );
  await lex.deleteRecord(collection, made.uri.split("/").at(-1) ?? "");
  expect((await lex.call(list, { did: session.did })).records.map((record) => record.uri)).toEqual([uri]);

  const png = new Uint8Array([137, 80, 78, 71]);
  const { body: uploaded } = await lex.uploadBlob(png, { encoding: "image/png" });
  expect(uploaded.blob).toMatchObject({ mimeType: "image/png", size: 4 });

  await session.signOut();
  await expect(lex.call(set, { status: "late", createdAt })).rejects.toMatchObject({ status: 401 });
});
