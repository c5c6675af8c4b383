import { P256Keypair, Secp256k1Keypair } from "@atproto/crypto";
import { encode } from "@atproto/lex-cbor";
import type { LexMap } from "@atproto/lex-data";
import { describe, expect, it } from "vitest";
import { microsOf, utcText } from "../../../plugins/labelers/datetime.ts";
import { decodeFrame } from "../../../plugins/labelers/frames.ts";
import { createGate } from "../../../plugins/labelers/gate.ts";
import { isSignedBy, readLabel, type SignedLabel } from "../../../plugins/labelers/label.ts";
import { readAcceptLabelers, writeContentLabelers } from "../../../plugins/labelers/accept-labelers.ts";
import { errorFrame, infoFrame, labelsFrame } from "../../../playground/network/frames.ts";

const base: LexMap = {
  ver: 1,
  src: "did:plc:labeler",
  uri: "at://did:plc:author/org.example.post/a",
  val: "spam",
  cts: "2026-01-01T00:00:00Z",
};

function read(value: unknown): SignedLabel {
  const label = readLabel(value);
  if (typeof label === "string") throw new Error(label);
  return label;
}

describe("signatures of labels", () => {
  it.each([
    ["secp256k1", () => Secp256k1Keypair.create()],
    ["P-256", () => P256Keypair.create()],
  ])("of a %s key are over the members of the schema alone", async (_, create) => {
    const keypair = await create();
    const sig = await keypair.sign(encode(base));
    for (const sent of [base, { ...base, $type: "com.atproto.label.defs#label" }, { ...base, extra: [1] }])
      expect(await isSignedBy(keypair.did(), read({ ...sent, sig }))).toBe(true);
    for (const change of [{ val: "ham" }, { neg: true }, { exp: "2027-01-01T00:00:00Z" }, { cid: "bafy" }])
      expect(await isSignedBy(keypair.did(), read({ ...base, ...change, sig }))).toBe(false);
    expect(await isSignedBy((await create()).did(), read({ ...base, sig }))).toBe(false);
    expect(await isSignedBy("did:key:nonsense", read({ ...base, sig }))).toBe(false);
  });

  it.each([
    [
      "secp256k1",
      () => Secp256k1Keypair.create(),
      0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
    ],
    [
      "P-256",
      () => P256Keypair.create(),
      0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
    ],
  ])("of a %s key have one form", async (_, create, order) => {
    const keypair = await create();
    const sig = Buffer.from(await keypair.sign(encode(base)));
    const s = BigInt(`0x${sig.toString("hex", 32)}`);
    const high = Buffer.from((order - s).toString(16).padStart(64, "0"), "hex");
    const malleable = Buffer.concat([sig.subarray(0, 32), high]);
    for (const other of [malleable, sig.subarray(0, 63), Buffer.concat([sig, sig]), Buffer.alloc(64)])
      expect(await isSignedBy(keypair.did(), read({ ...base, sig: new Uint8Array(other) }))).toBe(false);
  });

  it("may leave out a `neg` that is false, and may not turn it over", async () => {
    const keypair = await Secp256k1Keypair.create();
    const bare = await keypair.sign(encode(base));
    const whole = await keypair.sign(encode({ ...base, neg: false }));
    for (const sig of [bare, whole])
      expect(await isSignedBy(keypair.did(), read({ ...base, neg: false, sig }))).toBe(true);
    expect(await isSignedBy(keypair.did(), read({ ...base, neg: true, sig: whole }))).toBe(false);
    expect(await isSignedBy(keypair.did(), read({ ...base, sig: whole }))).toBe(false);
  });

  it("are needed, as is what a label consists of", () => {
    const sig = new Uint8Array(64);
    for (const value of [
      null,
      5,
      [],
      {},
      base,
      { ...base, sig: "text" },
      { ...base, sig: new Uint8Array(1000) },
      { ...base, ver: 2, sig },
      { ...base, ver: undefined, sig },
      { ...base, val: "", sig },
      { ...base, val: "é".repeat(65), sig },
      { ...base, uri: 5, sig },
      { ...base, cts: "soon", sig },
      { ...base, neg: "true", sig },
      { ...base, exp: "x".repeat(65), sig },
      { ...base, uri: "at://a\0b", sig },
      { ...base, val: "\ud800", sig },
    ])
      expect(readLabel(value), JSON.stringify(value)).toEqual(expect.any(String));
    expect(read({ ...base, cts: "2026-01-01T00:00:00.5", exp: 5, sig }).label).toMatchObject({ neg: false });
  });
});

describe("datetimes", () => {
  it.each([
    ["2026-01-01T00:00:00Z", 1767225600000000],
    ["2026-01-01T00:00:00.000001Z", 1767225600000001],
    ["2026-01-01T00:00:00.1234567891Z", 1767225600123456],
    ["2026-01-01T01:30:00+01:30", 1767225600000000],
    ["1969-12-31T23:59:59.5Z", -500000],
  ])("%s", (text, micros) => expect(microsOf(text)).toBe(micros));

  it.each(["", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "2026-01-01 00:00:00Z", 5, null])(
    "not %s",
    (text) => expect(microsOf(text)).toBeUndefined(),
  );

  it("sort as text", () => {
    expect(utcText(1767225600123456)).toBe("2026-01-01T00:00:00.123+00:00");
    expect(utcText(microsOf("9999-12-31T23:59:59-23:59") ?? 0)).toBe("9999-12-31T00:00:00.000+00:00");
  });
});

describe("frames", () => {
  it("are labels, notes or an end", () => {
    expect(decodeFrame(labelsFrame(7, [base]))).toEqual({ kind: "labels", seq: 7, labels: [base] });
    expect(decodeFrame(infoFrame("OutdatedCursor", "gone"))).toEqual({
      kind: "info",
      name: "OutdatedCursor",
      message: "gone",
    });
    expect(decodeFrame(errorFrame("FutureCursor", "no"))).toMatchObject({
      kind: "error",
      name: "FutureCursor",
    });
  });

  it.each<[string, LexMap[]]>([
    ["no header", [{ seq: 1, labels: [] }]],
    ["three items", [{ op: 1, t: "#labels" }, { seq: 1, labels: [] }, {}]],
    [
      "another operation",
      [
        { op: 2, t: "#labels" },
        { seq: 1, labels: [] },
      ],
    ],
    [
      "another type",
      [
        { op: 1, t: "#commit" },
        { seq: 1, labels: [] },
      ],
    ],
    ["no seq", [{ op: 1, t: "#labels" }, { labels: [] }]],
    [
      "a seq below 0",
      [
        { op: 1, t: "#labels" },
        { seq: -1, labels: [] },
      ],
    ],
    ["no labels", [{ op: 1, t: "#labels" }, { seq: 1 }]],
  ])("with %s are malformed", (_, items) => {
    expect(decodeFrame(Buffer.concat(items.map((item) => encode(item))))).toMatchObject({
      kind: "malformed",
    });
  });

  it("cut anywhere are malformed", () => {
    const frame = labelsFrame(7, [{ ...base, sig: new Uint8Array(64) }]);
    for (let length = 0; length < frame.length; length++)
      expect(decodeFrame(frame.subarray(0, length)).kind).toBe("malformed");
  });
});

describe("atproto-accept-labelers", () => {
  it("joins what it says of a labeler", () => {
    const read = readAcceptLabelers("did:plc:a;redact, did:web:b.example ,did:plc:a,did:plc:c;other;redact");
    expect(writeContentLabelers(read)).toBe("did:plc:a;redact, did:web:b.example, did:plc:c;redact");
    expect(readAcceptLabelers("")).toEqual([]);
  });
});

describe("addresses of labelers", () => {
  it.each([
    "http://127.0.0.1:8080",
    "https://10.0.0.1",
    "http://[::1]",
    "https://localhost",
    "https://x.local",
  ])("%s is not reached from outside a developer's machine", async (endpoint) => {
    await expect(createGate({ allowPrivate: false }).admit(endpoint)).rejects.toThrow();
    await createGate({ allowPrivate: true }).admit(endpoint);
  });

  it("a public one is, with or without TLS", async () => {
    for (const endpoint of ["http://8.8.8.8", "https://8.8.8.8:8443"])
      await createGate({ allowPrivate: false }).admit(endpoint);
  });
});
