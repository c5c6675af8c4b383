import dns from "node:dns/promises";
import { createOutgoingFetch } from "../../../core/http/outgoing.ts";

/** In Bun: what a request for a name says that leads to each of these addresses, and where one goes that may go. */
const outgoing = createOutgoingFetch({ timeoutMs: 2000 });
const addresses = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1"];
let answers: string[] = [];
dns.lookup = (() => {
  const address = answers.shift() ?? "";
  return Promise.resolve([{ address, family: address.includes(":") ? 6 : 4 }]);
}) as unknown as typeof dns.lookup; // the form that asks for all

const sayTo = (url: string, init: RequestInit): Promise<string> =>
  outgoing(url, init).then(
    (response) => `answered ${response.status}`,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );

const refused: Record<string, string> = {};
for (const address of addresses) {
  answers = [address];
  refused[address] = await sayTo("https://inside.attacker.net/", { redirect: "error" });
}

/** Nothing leaves this machine: what would be sent is told. */
const sent: unknown[] = [];
globalThis.fetch = (async (input: URL, init: RequestInit & { tls?: object }) => {
  const { method, redirect, tls } = init;
  const host = new Headers(init.headers).get("host");
  const body = init.body === undefined ? null : new TextDecoder().decode(init.body as ArrayBuffer);
  sent.push({ url: String(input), host, method, redirect, tls, body });
  return new Response("ok");
}) as typeof fetch;
answers = ["93.184.215.14", "127.0.0.1"];
const init = { method: "POST", body: "hello", redirect: "error" } as const;
const said = await sayTo("https://inside.attacker.net:8443/path?a=1", init);
process.stdout.write(JSON.stringify({ refused, sent, said, left: answers }));
