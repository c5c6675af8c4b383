import { expect, onTestFinished, vi } from "vitest";
import type { UserConfig } from "../../../core/config/define.ts";
import type { LogEvent } from "../../../core/events.ts";
import { definePlugin, type Plugin } from "../../../core/plugin.ts";
import type { Labeler } from "../../../playground/network/labeler.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { labelers, type LabelersOptions } from "../../../plugins/labelers/index.ts";
import { luaScripts } from "../../../plugins/lua-scripts/index.ts";
import { adminHeaders, limitedCaller, startApp, type TestApp } from "../../setup/app.ts";
import type { DatabaseSubject } from "../../setup/databases.ts";
import { jsonBody } from "../../suites/http/subject.ts";

export const author = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
export const collection = "org.example.post";
export const uriOf = (rkey: string): string => `at://${author}/${collection}/${rkey}`;

const files = [
  { id: collection, defs: { main: { type: "record", record: { type: "object" } } } },
  { id: "org.example.list", defs: { main: { type: "query" } } },
].map((document) => ({
  path: `${document.id}.json`,
  name: document.id,
  text: JSON.stringify({ lexicon: 1, ...document }),
}));

export const eventually = <T>(check: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(check, { timeout: 15_000, interval: 10 });

export interface Row {
  src: string;
  uri: string;
  val: string;
  cts: string;
  exp: string | null;
  cid: string | null;
}

export interface SubscriptionView {
  did: string;
  status: string;
  cursor: number | null;
  created_at: string;
  updated_at: string;
}

export interface Bench extends TestApp {
  network: Network;
  events: LogEvent[];
  admin(method: string, path?: string, body?: unknown): Promise<{ status: number; body: unknown }>;
  add(...labelers: Labeler[]): Promise<void>;
  subscriptions(): Promise<SubscriptionView[]>;
  /** Waits until the labels of all that the labeler sent so far are stored. */
  reads(labeler: Labeler): Promise<void>;
  labels(): Promise<Row[]>;
  /** `<uri's end> <val>` of the labels that are in force, sorted. */
  shown(): Promise<string[]>;
  historyOf(labeler: Labeler): Promise<string | undefined>;
  /** Indexes a record of the author. */
  index(rkey: string, record?: Record<string, unknown>): Promise<void>;
  metrics(): Promise<string>;
}

export interface Setup {
  network?: Network;
  options?: LabelersOptions;
  scripts?: Record<string, string>;
  plugins?: Plugin[];
  config?: UserConfig;
  now?: () => number;
}

export async function createAtmosphere(): Promise<Network> {
  const network = await createNetwork({ seed: 71, now: Date.now });
  onTestFinished(() => network.close());
  return network;
}

/** An app without a firehose, so that a test says when a record is indexed. */
export async function start(subject: DatabaseSubject, setup: Setup = {}): Promise<Bench> {
  const network = setup.network ?? (await createAtmosphere());
  const events: LogEvent[] = [];
  const listener = definePlugin({
    name: "listener",
    setup: (app) => void app.hook("event", (event) => void events.push(event)),
  });
  const { scripts = {} } = setup;
  const scripting = Object.keys(scripts).length > 0 ? [luaScripts({ workers: 1, retryDelaysMs: [1] })] : [];
  const test = await startApp(
    subject,
    {
      plugins: [
        listener(),
        limitedCaller(),
        ...scripting,
        ...(setup.plugins ?? []),
        labelers({ random: () => 0, quietMs: 50, lookEveryMs: 200, ...setup.options }),
      ],
      lexicons: { "org.example.list": { targetCollection: collection } },
      ...setup.config,
    },
    {
      files: {
        lexicons: files,
        ...(scripting.length > 0
          ? { scripts: Object.entries(scripts).map(([path, text]) => ({ path, name: path, text })) }
          : {}),
      },
      env: { PLC_URL: network.plcUrl },
      ...(setup.now ? { now: setup.now } : {}),
    },
  );
  onTestFinished(test.stop);
  const { db } = test.app;
  const admin: Bench["admin"] = async (method, path = "", body) => {
    const init =
      body === undefined ? { method, headers: adminHeaders } : jsonBody(method, body, adminHeaders);
    const response = await test.request(`/admin/labelers${path}`, init);
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json");
    return { status: response.status, body: isJson ? (JSON.parse(text) as unknown) : text };
  };
  const labels = (): Promise<Row[]> =>
    db.all<Row>("SELECT src, uri, val, cts, exp, cid FROM happyview_labels ORDER BY uri, val, src");
  const subscriptions = async (): Promise<SubscriptionView[]> =>
    (await admin("GET")).body as SubscriptionView[];
  return {
    ...test,
    network,
    events,
    admin,
    labels,
    subscriptions,
    async add(...added) {
      for (const { did } of added) expect((await admin("POST", "", { did })).status).toBe(201);
    },
    reads: (labeler) =>
      eventually(async () => {
        const own = (await subscriptions()).find(({ did }) => did === labeler.did);
        expect(own?.cursor ?? 0).toBe(labeler.seq);
      }),
    async shown() {
      return (await labels()).map(({ uri, val }) => `${uri.split("/").at(-1)} ${val}`).toSorted();
    },
    async historyOf({ did }) {
      const row = await db.get<{ history: string }>(
        "SELECT history FROM happyview_labeler_subscriptions WHERE did = ?",
        [did],
      );
      return row?.history;
    },
    async index(rkey, record = { text: rkey }) {
      await test.app.records.pipeline.ingest({
        kind: "commit",
        action: "create",
        did: author,
        collection,
        rkey,
        rev: "",
        cid: "",
        record: { $type: collection, ...record },
      });
      await test.app.records.pipeline.flush();
    },
    metrics: async () => (await test.request("/metrics")).text(),
  };
}
