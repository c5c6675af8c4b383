import { vi } from "vitest";
import type { UserConfig } from "../../../core/config/define.ts";
import type { LogEvent } from "../../../core/events.ts";
import { definePlugin } from "../../../core/plugin.ts";
import type { LexiconRegistry } from "../../../core/lexicons/registry.ts";
import type { Account } from "../../../playground/network/account.ts";
import { startDns, type Dns } from "../../../playground/network/dns.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { firehose } from "../../../plugins/firehose/index.ts";
import { networkLexicons, type NetworkLexiconsOptions } from "../../../plugins/network-lexicons/index.ts";
import { adminHeaders, limitedCaller, limitedHeaders, startApp, type TestApp } from "../../setup/app.ts";
import type { DatabaseSubject, TestDatabase } from "../../setup/databases.ts";
import { createRecordingLog, type LogLine } from "../../setup/log.ts";

export const schema = "com.atproto.lexicon.schema";
export const status = "xyz.statusphere.status";

export interface Document extends Record<string, unknown> {
  id: string;
}

export const recordLexicon = (id: string = status, extra: object = {}): Document => ({
  lexicon: 1,
  id,
  defs: { main: { type: "record", key: "tid", record: { type: "object" } } },
  ...extra,
});

export const queryLexicon = (id: string): Document => ({
  lexicon: 1,
  id,
  defs: { main: { type: "query" } },
});

/** A network whose DNS says that alice publishes the lexicons of statusphere.xyz. */
export interface Atmosphere extends AsyncDisposable {
  network: Network;
  dns: Dns;
  alice: Account;
  publish(document: Document, by?: Account): Promise<void>;
}

export async function createAtmosphere(): Promise<Atmosphere> {
  const network = await createNetwork({ seed: 16, now: Date.now });
  const dns = await startDns();
  const alice = await network.createAccount();
  dns.setAuthority("statusphere.xyz", alice.did);
  return {
    network,
    dns,
    alice,
    async publish(document, by = alice) {
      await by.put(schema, document.id, { ...document });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([network.close(), dns.close()]);
    },
  };
}

export interface Instance extends AsyncDisposable {
  running: TestApp;
  lexicons: LexiconRegistry;
  events: LogEvent[];
  logged: LogLine[];
  get<T = unknown>(path: string): Promise<T>;
  admin(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  /** The events of lexicons, each as `type subject {detail}`. */
  told(): string[];
  health(): Promise<{ served: number; waiting: string[]; failing: string[] }>;
  stop(): Promise<void>;
}

/** Keys of callers who have this one permission: `Test lexicons:read`. */
const permitted = definePlugin({
  name: "permitted",
  setup(app) {
    app.callers.admin.push((request) => {
      const [, permission] = /^Test (\S+:\S+)$/.exec(request.headers.get("authorization") ?? "") ?? [];
      if (permission === undefined) return undefined;
      return { did: "did:plc:permitted", clientKey: null, permissions: new Set(permission.split(",")) };
    });
  },
});

export interface InstanceOptions extends NetworkLexiconsOptions {
  config?: UserConfig;
  files?: Record<string, { path: string; name: string; text: string }[]>;
  /** Follows the network's Jetstream. */
  stream?: boolean;
  env?: Record<string, string>;
}

/** An instance that lives in this network, and waits only moments between its attempts. */
export async function startInstance(
  subject: DatabaseSubject,
  { network, dns }: Atmosphere,
  options: InstanceOptions = {},
): Promise<Instance> {
  const { config = {}, files, stream = false, env = {}, ...plugin } = options;
  const events: LogEvent[] = [];
  let lexicons: LexiconRegistry | undefined;
  const observer = definePlugin({
    name: "observer",
    setup(app) {
      lexicons = app.lexicons;
      app.hook("event", (event) => void events.push(event));
    },
  });
  const { log, lines } = createRecordingLog();
  const running = await startApp(
    subject,
    {
      ...config,
      plugins: [
        observer(),
        networkLexicons({ retryMs: 10, maxRetryMs: 40, dnsTimeoutMs: 2000, ...plugin }),
        ...(stream ? [firehose()] : []),
        ...(config.plugins ?? []),
        permitted(),
        limitedCaller(),
      ],
    },
    {
      log,
      files,
      env: {
        PLC_URL: network.plcUrl,
        JETSTREAM_URL: network.jetstreamUrl,
        DNS_SERVERS: dns.server,
        ...env,
      },
    },
  );
  if (!lexicons) throw new Error("the observer was not set up");
  if (stream) await vi.waitFor(() => expectOne(network.jetstream.clients), { timeout: 10_000 });
  const admin: Instance["admin"] = (method, path, body, headers = adminHeaders) =>
    running.request(`/admin${path}`, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  return {
    running,
    lexicons,
    events,
    logged: lines,
    admin,
    async get<T>(path: string) {
      const response = await admin("GET", path);
      return (response.status === 200 ? await response.json() : response.status) as T; // compared by the tests
    },
    told: () =>
      events
        .filter(({ type }) => type.startsWith("lexicon."))
        .map(({ type, subject: about, detail }) => `${type} ${about} ${JSON.stringify(detail)}`),
    async health() {
      const response = await running.request("/health/ready");
      const { checks } = (await response.json()) as { checks: Record<string, { detail: never }> };
      return checks["network-lexicons"]?.detail as unknown as Awaited<ReturnType<Instance["health"]>>;
    },
    stop: running.stop,
    [Symbol.asyncDispose]: running.stop,
  };
}

export { limitedHeaders };

/** A database that outlives an instance; `drop` it in the end. */
export async function keptDatabase(
  subject: DatabaseSubject,
): Promise<DatabaseSubject & Pick<TestDatabase, "drop">> {
  const { url, drop } = await subject.open();
  return { name: subject.name, open: async () => ({ url, drop: async () => {} }), drop };
}

function expectOne(count: number): void {
  if (count !== 1) throw new Error(`${count} consumers of the stream`);
}
