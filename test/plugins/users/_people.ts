import { createServiceJwt } from "@atproto/xrpc-server";
import type { Account } from "../../../playground/network/account.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import type { Plugin } from "../../../core/plugin.ts";
import { users, type UsersOptions } from "../../../plugins/users/index.ts";
import { startApp, type TestApp } from "../../setup/app.ts";
import type { DatabaseSubject } from "../../setup/databases.ts";
import { jsonBody } from "../../suites/http/subject.ts";

export type Headers = Record<string, string>;

export interface Place extends AsyncDisposable {
  network: Network;
  running: TestApp;
  /** An account of the network and the headers by which it comes to the admin API. */
  person(): Promise<{ account: Account; did: string; headers: Headers }>;
  send(method: string, path: string, headers: Headers, body?: unknown): Promise<[number, unknown]>;
}

export async function startPlace(
  subject: DatabaseSubject,
  options: UsersOptions & { plugins?: Plugin[]; network?: Network; now?: () => number } = {},
): Promise<Place> {
  const { plugins = [], network = await createNetwork({ seed: 41 }), now, ...own } = options;
  const running = await startApp(
    subject,
    { plugins: [users(own), ...plugins] },
    {
      env: { PLC_URL: network.plcUrl, PUBLIC_URL: "http://localhost" },
      ...(now ? { now } : {}),
    },
  );
  return {
    network,
    running,
    async person() {
      const account = await network.createAccount();
      return { account, did: account.did, headers: { authorization: `Bearer ${await tokenOf(account)}` } };
    },
    async send(method, path, headers, body) {
      const response = await running.request(
        path,
        body === undefined ? { method, headers } : jsonBody(method, body, headers),
      );
      const text = await response.text();
      return [response.status, text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text];
    },
    async [Symbol.asyncDispose]() {
      await running.stop();
      if (!options.network) await network.close();
    },
  };
}

/** An inter-service token as a PDS makes it, by the published library. */
export function tokenOf(
  { did, keypair }: Pick<Account, "did" | "keypair">,
  claims: { aud?: string; lxm?: string | null; exp?: number } = {},
): Promise<string> {
  const { aud = "did:web:localhost", lxm = null, exp } = claims;
  return createServiceJwt({
    iss: did,
    aud,
    lxm,
    keypair,
    ...(exp === undefined ? {} : { exp }),
  } as Parameters<typeof createServiceJwt>[0]); // its DIDs are template types, ours are checked text
}
