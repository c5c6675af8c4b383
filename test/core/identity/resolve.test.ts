import { createStorage } from "unstorage";
import { describe, expect, test } from "vitest";
import { createOutgoingFetch, type OutgoingFetch } from "../../../core/http/outgoing.ts";
import { parseDocument } from "../../../core/identity/did-document.ts";
import {
  createIdentityResolver,
  isUnreachable,
  type IdentityResolver,
} from "../../../core/identity/resolve.ts";

const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
const web = "did:web:example.com";

function resolver(fetch: OutgoingFetch): IdentityResolver {
  return createIdentityResolver({
    plcUrl: "https://plc.example",
    storage: createStorage(),
    fetch,
    now: () => 0,
  });
}

const answer =
  (body: string, status = 200): OutgoingFetch =>
  async () =>
    new Response(body, { status });

const cut = (): Response =>
  new Response(
    new ReadableStream({
      start: (controller) => controller.error(new TypeError("terminated")),
    }),
  );

describe("a DID of which nothing is known", () => {
  test.each<[string, string, OutgoingFetch]>([
    ["the network is away", did, () => Promise.reject(new TypeError("fetch failed"))],
    ["the answer takes too long", did, () => Promise.reject(new DOMException("aborted", "AbortError"))],
    ["the answer breaks off", did, async () => cut()],
    ["the directory has trouble", did, answer("down", 503)],
    ["the directory asks to slow down", did, answer("slow", 429)],
    ["the answer is a page", did, answer("<html>")],
    ["the config names a directory that our rules forbid", did, createOutgoingFetch()],
    ["the host of a did:web is away", web, answer("down", 502)],
  ])("for now, as %s, is unreachable", async (name, asked, fetch) => {
    const identity = createIdentityResolver({
      plcUrl: name.includes("forbid") ? "http://127.0.0.1:1" : "https://plc.example",
      storage: createStorage(),
      fetch,
      now: () => 0,
    });
    const error = await identity.resolve(asked).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "IDENTITY_UNREACHABLE", cause: expect.anything() });
    expect(isUnreachable(error)).toBe(true);
  });

  test.each<[string, string, OutgoingFetch]>([
    ["it is not registered", did, answer("{}", 404)],
    ["it is a tombstone", did, answer("{}", 410)],
    ["the document is of another", did, answer(JSON.stringify({ id: web }))],
    ["the document is far too large", did, answer(`{"id":"${did}","x":"${"x".repeat(300_000)}"}`)],
    ["its host is of a private network", "did:web:localhost%3A1", createOutgoingFetch()],
    ["its method is not used", "did:key:z6Mk", answer("{}")],
  ])("at all, as %s, is unresolved", async (_, asked, fetch) => {
    const error = await resolver(fetch)
      .resolve(asked)
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "IDENTITY_UNRESOLVED" });
    expect(isUnreachable(error)).toBe(false);
  });

  test("is asked for anew the next time", async () => {
    let asked = 0;
    const identity = resolver(async () =>
      (asked += 1) === 1 ? new Response("", { status: 503 }) : new Response(JSON.stringify({ id: did })),
    );
    await expect(identity.resolve(did)).rejects.toMatchObject({ code: "IDENTITY_UNREACHABLE" });
    await expect(identity.resolve(did)).resolves.toMatchObject({ did });
  });

  test("does not tell the secrets of the directory's address", async () => {
    const identity = createIdentityResolver({
      plcUrl: "https://me:secret@plc.example",
      storage: createStorage(),
      fetch: answer("", 503),
      now: () => 0,
    });
    const error = await identity.resolve(did).catch((e: Error) => e.cause);
    expect(String(error)).toContain("https://plc.example/did:plc:");
    expect(String(error)).not.toContain("secret");
  });
});

describe("of a document that a stranger made large", () => {
  const url = (chars: number): string => `https://x.example/${"x".repeat(chars)}`;
  const key = "zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF";

  test("only what is used is kept", () => {
    const identity = parseDocument(did, {
      id: did,
      alsoKnownAs: [`at://${"h".repeat(300)}`],
      service: [
        { id: "#atproto_labeler", serviceEndpoint: url(600) },
        { id: "#atproto_pds", serviceEndpoint: `https://x.example/${"\u0001".repeat(100)}` },
        { id: "#__proto__", serviceEndpoint: url(1) },
        ...Array.from({ length: 500 }, (_, i) => ({ id: `#s${i}`, serviceEndpoint: url(1) })),
        { id: `${did}#atproto_pds`, serviceEndpoint: "https://pds.example/" },
        { id: "#atproto_pds", serviceEndpoint: url(1) },
      ],
      verificationMethod: [
        { id: "#atproto_label", type: "Multikey", publicKeyMultibase: `z${"1".repeat(100_000)}` },
        ...Array.from({ length: 500 }, (_, i) => ({
          id: `#k${i}`,
          type: "Multikey",
          publicKeyMultibase: key,
        })),
        { id: "#atproto", type: "Multikey", publicKeyMultibase: key },
      ],
    });
    const signingKey = `did:key:${key}`;
    expect(identity).toEqual({
      did,
      handle: null,
      signingKey,
      keys: { atproto: signingKey },
      services: { atproto_pds: "https://pds.example" },
    });
  });

  test("less than ten kilobytes are kept in memory", async () => {
    const storage = createStorage();
    const long = `did:web:x.example:${"a".repeat(2000)}`;
    const id = (fragment: string): string => `${long}#${fragment}`;
    const document = {
      id: long,
      alsoKnownAs: [`at://${"\u0001".repeat(253)}`],
      service: ["atproto_pds", "atproto_labeler", ...Array.from({ length: 60 }, (_, i) => `s${i}`)].map(
        (fragment) => ({ id: id(fragment), serviceEndpoint: url(490) }),
      ),
      verificationMethod: ["atproto", "atproto_label", "other"].map((fragment) => ({
        id: id(fragment),
        type: "Multikey",
        publicKeyMultibase: key,
      })),
    };
    const fetch = answer(JSON.stringify(document));
    const identity = createIdentityResolver({ plcUrl: "https://plc.example", storage, fetch, now: () => 0 });
    expect((await identity.resolve(long)).services["atproto_pds"]).toBe(url(490));
    const kept = await Promise.all(
      (await storage.getKeys()).map(async (at) => [at, await storage.getItem(at)]),
    );
    expect(kept).toHaveLength(1);
    expect(JSON.stringify(kept).length).toBeLessThan(10_000);
  });

  test("a DID that is too long for one is not even asked for", async () => {
    let asked = 0;
    const identity = resolver(async () => ((asked += 1), new Response("{}")));
    await expect(identity.resolve(`did:web:x.example:${"a".repeat(2048)}`)).rejects.toMatchObject({
      code: "IDENTITY_UNRESOLVED",
    });
    expect(asked).toBe(0);
  });
});
