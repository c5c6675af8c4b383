import { createHash, createPublicKey, randomBytes, verify } from "node:crypto";
import { Secp256k1Keypair } from "@atproto/crypto";
import { encode } from "@atproto/lex-cbor";
import { describe, expect, test } from "vitest";
import { createApp } from "../../../core/app.ts";
import type { Logger } from "../../../core/log.ts";
import { luaScripts } from "../../../plugins/lua-scripts/index.ts";
import { signedCid } from "../../../plugins/lua-scripts/attestation/content.ts";
import { createSigner, type Signer } from "../../../plugins/lua-scripts/attestation/signer.ts";
import { adminHeaders, startApp, testConfig } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { createRecordingLog, silent } from "../../setup/log.ts";
import { jsonBody } from "../../suites/http/subject.ts";

const signing = { type: "org.example.sig", repository: "did:plc:a" };
const keyId = "did:web:happyview.example#attestation";
const privateKey = "01".repeat(32);

const cidOf = (cbor: string): string =>
  `01711220${createHash("sha256")
    .update(Buffer.from(cbor.replaceAll(" ", ""), "hex"))
    .digest("hex")}`;

describe("what is signed", () => {
  /** `$sig`, with its key in front. */
  const sig = [
    "6424736967 a2",
    "652474797065 6f6f72672e6578616d706c652e736967",
    "6a7265706f7369746f7279 696469643a706c633a61",
  ].join(" ");

  test.each([
    ["keys by their bytes", '{"b":1,"aa":"x"}', `a3 ${sig} 6261616178 6162 01`],
    ["no signatures", '{"signatures":[{"key":"k"}]}', `a1 ${sig}`],
    ["bytes", '{"b":{"$bytes":"AAEC"}}', `a2 ${sig} 6162 43000102`],
    ["what is no base64 stays a map", '{"b":{"$bytes":"AA"}}', `a2 ${sig} 6162 a1 66246279746573 624141`],
    ["a link stays a map", '{"b":{"$link":"x"}}', `a2 ${sig} 6162 a1 65246c696e6b 6178`],
    ["integers to their last digit", '{"b":9007199254740993}', `a2 ${sig} 6162 1b0020000000000001`],
    ["negative integers", '{"b":-9223372036854775808}', `a2 ${sig} 6162 3b7fffffffffffffff`],
    [
      "floats, as short as they can be",
      '{"b":[3.0,1.1,1e3]}',
      `a2 ${sig} 6162 83 f94200 fb3ff199999999999a f963d0`,
    ],
    ["a key that objects have", '{"__proto__":1}', `a2 ${sig} 695f5f70726f746f5f5f01`],
    ["null, booleans, text beyond ASCII", '{"b":[null,true,"é"]}', `a2 ${sig} 6162 83 f6 f5 62c3a9`],
  ])("%s", (_, record, cbor) => {
    expect(signedCid(record, signing, "lexicographic").toString("hex")).toBe(cidOf(cbor));
  });

  test("in DAG-CBOR's own order, as its encoder writes it", () => {
    const record = {
      b: 1,
      aa: "x",
      longer: { z: 1, aa: [2] },
      $sig: { $type: signing.type, repository: signing.repository },
    };
    const { $sig: _, ...unsigned } = record;
    expect(signedCid(JSON.stringify(unsigned), signing, "dag-cbor").toString("hex")).toBe(
      cidOf(Buffer.from(encode(record)).toString("hex")),
    );
  });

  test.each(["[]", '"text"', "null", "5"])("%s cannot be", (text) => {
    expect(() => signedCid(text, signing, "lexicographic")).toThrow("record must be an object");
  });
});

describe("a signer", () => {
  const create = async (): Promise<Signer> =>
    createSigner(await Secp256k1Keypair.import(privateKey), { keyId, type: signing.type });

  test("makes signatures that others can check", async () => {
    const { signature } = await (await create()).sign('{"a":1}', signing.repository);
    const raw = Buffer.from(signature.$bytes, "base64");
    const signed = signedCid('{"a":1}', signing, "lexicographic");
    expect(raw).toHaveLength(64);
    expect(verify("sha256", signed, { key: publicKeyOf(), dsaEncoding: "ieee-p1363" }, raw)).toBe(true);
  });

  test("takes what was signed in DAG-CBOR's order, and what HappyView signed before its key had a name", async () => {
    const keypair = await Secp256k1Keypair.import(privateKey);
    const bytes = await keypair.sign(signedCid('{"b":1,"aa":2}', signing, "dag-cbor"));
    const signature = { $bytes: Buffer.from(bytes).toString("base64") };
    const signer = await create();
    for (const key of [keyId, "did:web:localhost#attestation"])
      expect(await signer.verify('{"b":1,"aa":2}', { key, signature }, signing.repository)).toBe(true);
    expect(await signer.verify('{"b":1,"aa":3}', { key: keyId, signature }, signing.repository)).toBe(false);
  });

  test.each(["lexicographic", "dag-cbor"] as const)(
    "takes signatures and bytes that have lost their padding, in %s order",
    async (order) => {
      const keypair = await Secp256k1Keypair.import(privateKey);
      const record = (bytes: string): string => `{"b":{"$bytes":"${bytes}"},"aa":1}`;
      const signer = await create();
      for (const [signed, given, is] of [
        ["AA==", "AA==", true],
        ["AA==", "AA", true],
        ["AA", "AA", true],
        ["AA", "AA==", false],
        ["AA==", "AB", false],
        ["AA==", "AA=", false],
      ] as const) {
        const raw = Buffer.from(await keypair.sign(signedCid(record(signed), signing, order)));
        const signature = { $bytes: raw.toString("base64").replaceAll("=", "") };
        const verified = await signer.verify(record(given), { key: keyId, signature }, signing.repository);
        expect([signed, given, verified]).toEqual([signed, given, is]);
      }
    },
  );

  test("signs what is not padded as a map, like HappyView", async () => {
    const record = '{"b":{"$bytes":"AA"}}';
    const { signature } = await (await create()).sign(record, signing.repository);
    const made = await (
      await Secp256k1Keypair.import(privateKey)
    ).sign(signedCid(record, signing, "lexicographic", "strict"));
    expect(signature.$bytes).toBe(Buffer.from(made).toString("base64"));
  });

  test("refuses the other half of each signature", async () => {
    const signer = await create();
    const made = await signer.sign('{"a":1}', signing.repository);
    const raw = Buffer.from(made.signature.$bytes, "base64");
    const s = BigInt(`0x${raw.subarray(32).toString("hex")}`);
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const high = Buffer.concat([
      raw.subarray(0, 32),
      Buffer.from((order - s).toString(16).padStart(64, "0"), "hex"),
    ]);
    const signature = { $bytes: high.toString("base64") };
    expect(await signer.verify('{"a":1}', { ...made, signature }, signing.repository)).toBe(false);
    expect(await signer.verify('{"a":1}', made, signing.repository)).toBe(true);
  });

  test.each([
    ["no signature", undefined],
    ["no key", { signature: { $bytes: "" } }],
    ["no bytes", { key: keyId }],
    ["bytes that are short", { key: keyId, signature: { $bytes: "AAEC" } }],
  ])("cannot check %s", async (_, signature) => {
    await expect((await create()).verify("{}", signature, "")).rejects.toThrow("the signature has no");
  });
});

function publicKeyOf(): ReturnType<typeof createPublicKey> {
  // The generator times 0x0101…01, as SEC 1 writes it; node:crypto wants it as a JWK.
  const x = "1b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f";
  const y = "70beaf8f588b541507fed6a642c5ab42dfdf8120a7f639de5122d47a69a8e8d1";
  const part = (hex: string): string => Buffer.from(hex, "hex").toString("base64url");
  return createPublicKey({ key: { kty: "EC", crv: "secp256k1", x: part(x), y: part(y) }, format: "jwk" });
}

describe.each(databases())("the key, on $name", (subject) => {
  const lexicon = { lexicon: 1, id: "org.example.sign", defs: { main: { type: "query" } } };
  const script = `function handle()
    if not atproto.sign then return "no signer" end
    return atproto.sign({ a = 1 })
  end`;

  async function sign(url: string, env: Record<string, string>, log: Logger = silent): Promise<unknown> {
    const config = testConfig(
      { plugins: [luaScripts({ workers: 1 })], database: { url, maxConnections: 8 } },
      env,
    );
    const app = await createApp({ config, log });
    const call = (path: string, init: RequestInit = {}): Promise<Response> => {
      const headers = new Headers(init.headers);
      headers.set("host", "hv.example:8443");
      return app.fetch(new Request(`http://localhost${path}`, { ...init, headers }));
    };
    try {
      await call("/admin/lexicons", jsonBody("POST", { lexicon_json: lexicon }, adminHeaders));
      await call(
        "/admin/scripts",
        jsonBody("POST", { id: `xrpc.query:${lexicon.id}`, body: script }, adminHeaders),
      );
      const settings = await (await call("/admin/settings", { headers: adminHeaders })).text();
      const rows = await app.db.all<{ sealed: string }>("SELECT sealed FROM happyview_attestation_keys");
      for (const { sealed } of rows) expect(settings).not.toContain(sealed);
      return await (await call(`/xrpc/${lexicon.id}`)).json();
    } finally {
      await app.close();
    }
  }

  test("is made once, sealed, and stays; without it nothing is signed", async () => {
    const { url, drop } = await subject.open();
    try {
      const env = {
        TOKEN_ENCRYPTION_KEY: randomBytes(32).toString("base64"),
        PUBLIC_URL: "https://hv.example:8443/base",
      };
      const [first, second] = await Promise.all([sign(url, env), sign(url, env)]);
      expect(first).toMatchObject({
        key: "did:web:hv.example#attestation",
        $type: "games.gamesgamesgamesgames.attestation",
      });
      expect(second).toEqual(first);
      expect(await sign(url, env)).toEqual(first);
      const { log, messages } = createRecordingLog();
      expect(await sign(url, { ...env, TOKEN_ENCRYPTION_KEY: randomBytes(32).toString("base64") }, log)).toBe(
        "no signer",
      );
      expect(messages("error")).toContain("the attestation key cannot be read; scripts cannot sign records");
    } finally {
      await drop();
    }
  });
});

test("the environment's key and names are used, and what is no key is refused", async () => {
  const [sqlite] = databases();
  const env = {
    ATTESTATION_PRIVATE_KEY: privateKey,
    ATTESTATION_KEY_ID: "did:web:a.example#k",
    ATTESTATION_SIG_TYPE: "a.b.c",
  };
  const plugins = [luaScripts({ workers: 1 })];
  if (!sqlite) throw new Error("no SQLite");
  const test = await startApp(sqlite, { plugins }, { env });
  expect(await test.app.db.all("SELECT * FROM happyview_attestation_keys")).toEqual([]);
  await test.stop();
  for (const wrong of ["00".repeat(32), "ff".repeat(32), "01".repeat(31), "no key"])
    await expect(startApp(sqlite, { plugins }, { env: { ATTESTATION_PRIVATE_KEY: wrong } })).rejects.toThrow(
      "ATTESTATION_PRIVATE_KEY is not a secp256k1 key",
    );
});
