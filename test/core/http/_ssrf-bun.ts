import dns from "node:dns/promises";
import { createOutgoingFetch } from "../../../core/http/outgoing.ts";

/** In Bun: what a request for a name says that leads to each of these addresses. */
const fetch = createOutgoingFetch({ timeoutMs: 2000 });
const addresses = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1"];
const said: Record<string, string> = {};
for (const address of addresses) {
  const found = [{ address, family: address.includes(":") ? 6 : 4 }];
  dns.lookup = (() => Promise.resolve(found)) as unknown as typeof dns.lookup; // the form that asks for all
  said[address] = await fetch("https://inside.attacker.net/", { redirect: "error" }).then(
    (response) => `answered ${response.status}`,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}
process.stdout.write(JSON.stringify(said));
