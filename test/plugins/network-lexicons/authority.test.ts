import { expect, test } from "vitest";
import {
  authorityName,
  createTxtLookup,
  dnsServers,
  resolveAuthority,
} from "../../../core/identity/authority.ts";
import { startDns } from "../../../playground/network/dns.ts";

const nsid = "xyz.statusphere.status";
const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

test.each([
  ["xyz.statusphere.status", "_lexicon.statusphere.xyz"],
  ["pics.2bit.feed.getPhotos", "_lexicon.feed.2bit.pics"],
  ["com.example.a.b.c", "_lexicon.b.a.example.com"],
])("the authority of %s is said at %s", (id, name) => {
  expect(authorityName(id)).toBe(name);
});

test.each([
  ["single", "invalid NSID (too few segments): single"],
  ["", "invalid NSID (too few segments): "],
  ["com.example", "invalid NSID: com.example"],
  ["com..example.x", "invalid NSID: com..example.x"],
  ["com.example.*", "invalid NSID: com.example.*"],
  [`com.${"x".repeat(400)}`, `invalid NSID: ${`com.${"x".repeat(400)}`.slice(0, 320)}`],
])("%j has no authority", (id, message) => {
  expect(() => authorityName(id)).toThrow(expect.objectContaining({ status: 400, message }));
});

test.each<[string, (string | string[])[], string]>([
  ["the only record", [`did=${did}`], did],
  ["the first of several", ["v=spf1 -all", `did=${did}`, "did=did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"], did],
  ["any string of a record", [["something", `did=${did}`]], did],
  ["quotes that were pasted in", [`"did=${did}"`], did],
  ["a did:web, and blanks around", [" did=did:web:statusphere.xyz "], "did:web:statusphere.xyz"],
])("an authority is named by %s", async (_, records, expected) => {
  await using dns = await startDns();
  dns.set("_lexicon.statusphere.xyz", ...records);
  const lookup = createTxtLookup({ servers: [dns.server] });
  expect(await resolveAuthority(nsid, lookup)).toBe(expected);
  expect(dns.asked).toEqual(["_lexicon.statusphere.xyz"]);
});

test.each<[string, (string | string[])[] | undefined, RegExp]>([
  ["no such name", undefined, /^DNS TXT lookup failed for _lexicon\.statusphere\.xyz: .*ENOTFOUND/],
  ["a name without TXT records", [], /^DNS TXT lookup failed for _lexicon\.statusphere\.xyz: .*ENODATA/],
  ["other records only", ["v=spf1 -all"], /^no did= TXT record found at _lexicon\.statusphere\.xyz$/],
  ["what is no DID", ["did=alice"], /^the did= TXT record at _lexicon\.statusphere\.xyz names no DID$/],
])("%s is an error that says where", async (_, records, message) => {
  await using dns = await startDns();
  if (records) dns.set("_lexicon.statusphere.xyz", ...records);
  const lookup = createTxtLookup({ servers: [dns.server] });
  await expect(resolveAuthority(nsid, lookup)).rejects.toMatchObject({
    status: 400,
    message: expect.stringMatching(message),
  });
});

test("a parent domain says nothing of what is below it", async () => {
  await using dns = await startDns();
  dns.setAuthority("statusphere.xyz", did);
  const lookup = createTxtLookup({ servers: [dns.server] });
  await expect(resolveAuthority("xyz.statusphere.deep.status", lookup)).rejects.toThrow("ENOTFOUND");
});

test("a server that never answers ends the lookup after its time", async () => {
  await using dns = await startDns();
  dns.isSilent = true;
  const lookup = createTxtLookup({ servers: [dns.server], timeoutMs: 60 });
  await expect(resolveAuthority(nsid, lookup)).rejects.toThrow("no answer within 60 ms");
});

test("DNS_SERVERS is a list, and what is no address is said at once", () => {
  expect(dnsServers({})).toBeUndefined();
  expect(dnsServers({ DNS_SERVERS: " " })).toBeUndefined();
  expect(dnsServers({ DNS_SERVERS: "127.0.0.1:5353, 9.9.9.9," })).toEqual(["127.0.0.1:5353", "9.9.9.9"]);
  expect(() => createTxtLookup({ servers: ["dns.example"] })).toThrow(
    expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining("dns.example") }),
  );
});
