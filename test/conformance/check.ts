import { expect } from "vitest";
import type { Label, Row, StoredLabel } from "../fixture/built-lua/driver.ts";
import type { PdsReply } from "../fixture/built-lua/fake-pds.ts";
import type { Case } from "./cases.ts";
import type { Instance, RecordEvent } from "./instance.ts";

const author = "did:plc:alice";
const caller = "did:plc:caller";

/** Sets the world of a case up, runs it, and compares. */
export async function checkCase(instance: Instance, it: Case): Promise<void> {
  await instance.reset();
  await instance.seed(jsonKey<Row[]>(it, "seed", []));
  await instance.addLabels(jsonKey<StoredLabel[]>(it, "labels", []));
  for (const [key, value] of Object.entries(jsonKey<Record<string, string>>(it, "env", {})))
    await instance.setVariable(key, value);
  for (const { trigger, body } of it.scripts)
    expect(await instance.saveScript(trigger, body)).toMatchObject({ error: "" });
  // A record event's own row has to be there before the script that would see it come.
  const stored = it.kind === "record" ? await storeBefore(instance, it) : undefined;
  const saved = await instance.saveScript(it.trigger, it.body);
  if (it.keys["expect-refused"] !== undefined) {
    expect(saved).toEqual({ status: 400, error: expect.stringContaining(it.keys["expect-refused"]) });
    return;
  }
  expect(saved.error).toBe("");
  const replies = jsonKey<PdsReply[] | undefined>(it, "pds");
  if (replies) await instance.expectPds(replies);
  const runs = Number(it.keys["runs"] ?? 1);
  for (let run = 1; run <= runs; run++) await runners[it.kind](instance, it, run === runs, stored);
  if (it.keys["expect-logs"] !== undefined) expect(await instance.logs()).toEqual(jsonKey(it, "expect-logs"));
  if (it.keys["expect-pds"] !== undefined)
    expect(await instance.pdsCalls()).toEqual(jsonKey(it, "expect-pds"));
  if (it.keys["expect-rows"] !== undefined) expect(await instance.rows()).toEqual(jsonKey(it, "expect-rows"));
}

type Runner = (
  instance: Instance,
  it: Case,
  isLast: boolean,
  stored: StoredBefore | undefined,
) => Promise<void>;

interface StoredBefore {
  event: RecordEvent;
  before: unknown;
}

const runners: Record<Case["kind"], Runner> = {
  query: (instance, it, isLast) => runXrpc(instance, it, isLast, "GET"),
  procedure: (instance, it, isLast) => runXrpc(instance, it, isLast, "POST"),
  record: runRecord,
  label: runLabel,
  job: runJob,
};

async function runXrpc(instance: Instance, it: Case, isLast: boolean, method: "GET" | "POST"): Promise<void> {
  const { status, text } = await instance.xrpc({
    method,
    nsid: it.trigger.slice(it.trigger.indexOf(":") + 1),
    query: toQuery(it.keys["params"] ?? ""),
    input: it.keys["input"] ?? "{}",
    caller: it.keys["caller"] ?? (method === "POST" ? caller : undefined),
  });
  if (!isLast) return;
  const error = errorOf(it);
  if (error) {
    expect({ status, body: parsed(text) }).toMatchObject({
      status: error.type === "timeout" ? 408 : 500,
      body: {
        error: "script_error",
        errorType: error.type,
        message: expect.stringContaining(error.text),
        ...(error.line === undefined ? {} : { line: error.line }),
      },
    });
    return;
  }
  if (it.keys["expect-text"] !== undefined)
    expect({ status, text }).toEqual({ status: 200, text: it.keys["expect-text"] });
  if (it.keys["expect-status"] !== undefined) expect(status).toBe(Number(it.keys["expect-status"]));
  if (it.keys["expect"] !== undefined)
    expect({ status, body: parsed(text) }).toEqual({
      status: Number(it.keys["expect-status"] ?? 200),
      body: jsonKey(it, "expect"),
    });
}

async function storeBefore(instance: Instance, it: Case): Promise<StoredBefore> {
  const given = jsonKey<Partial<RecordEvent>>(it, "event", {});
  const collection = it.trigger.slice(it.trigger.indexOf(":") + 1);
  const action = given.action ?? "create";
  const where = { did: author, collection, rkey: "r1", ...given };
  const record = action === "delete" ? undefined : (given.record ?? { name: "new" });
  const before = jsonKey<unknown>(it, "stored", action === "create" ? null : { name: "old" });
  if (before !== null) await instance.seed([[where.did, where.collection, where.rkey, before]]);
  return { before, event: { ...where, action, record } };
}

async function runRecord(
  instance: Instance,
  it: Case,
  isLast: boolean,
  stored: StoredBefore | undefined,
): Promise<void> {
  if (!stored) throw new Error("a record case has an event");
  const { event, before } = stored;
  await instance.ingest(event);
  if (!isLast) return;
  const after = (await instance.rows()).find(
    (row) => row[0] === event.did && row[1] === event.collection && row[2] === event.rkey,
  )?.[3];
  const proceeds = event.action === "delete" ? undefined : event.record;
  const error = errorOf(it);
  if (error) {
    expect(after).toEqual(proceeds);
    expect(await instance.deadLetters()).toEqual([expect.stringContaining(error.text)]);
    return;
  }
  const outcome = outcomeOf(it);
  if (outcome) expect(await instance.deadLetters()).toEqual([]);
  if (outcome?.kind === "skip") expect(after).toEqual(before ?? undefined);
  if (outcome?.kind === "proceed") expect(after).toEqual(proceeds);
  if (outcome?.kind === "replace") expect(after).toEqual(outcome.value);
}

async function runLabel(instance: Instance, it: Case, isLast: boolean): Promise<void> {
  const label: Label = {
    src: "did:plc:labeler",
    uri: `at://${author}/org.example.item/r1`,
    val: "spam",
    neg: false,
    cts: "2026-01-01T00:00:00.000Z",
    ...jsonKey<Partial<Label>>(it, "event", {}),
  };
  const after = await instance.applyLabel(label);
  if (!isLast) return;
  const error = errorOf(it);
  const outcome = error ? { kind: "proceed", value: undefined } : outcomeOf(it);
  if (outcome?.kind === "skip") expect(after).toBeUndefined();
  if (outcome?.kind === "proceed") expect(after).toEqual(label);
  if (outcome?.kind === "replace") expect(after).toEqual({ ...label, ...(outcome.value as object) });
  expect(await instance.deadLetters()).toEqual(error ? [expect.stringContaining(error.text)] : []);
}

async function runJob(instance: Instance, it: Case, isLast: boolean): Promise<void> {
  const type = it.trigger.slice(it.trigger.indexOf(":") + 1);
  const job = await instance.runJob(type, jsonKey(it, "input", {}), it.keys["caller"] ?? caller);
  if (!isLast) return;
  const error = errorOf(it);
  if (error) {
    expect(job).toMatchObject({ status: "failed", result: null });
    expect(job.error).toContain(error.text);
    expect(job.error?.startsWith(`${error.type}: `)).toBe(true);
  } else expect(job).toMatchObject({ status: "completed", error: null, result: jsonKey(it, "expect", null) });
}

/** `<type> <line or -> <text the message contains>` */
function errorOf(it: Case): { type: string; line: number | undefined; text: string } | undefined {
  const given = it.keys["expect-error"];
  if (given === undefined) return undefined;
  const [, type = "", line = "-", text = ""] = /^(\S+) (\S+) ?(.*)$/.exec(given) ?? [];
  return { type, line: line === "-" ? undefined : Number(line), text };
}

function outcomeOf(it: Case): { kind: string; value: unknown } | undefined {
  const given = it.keys["expect-outcome"];
  if (given === undefined) return undefined;
  const [, kind = "", json = ""] = /^(skip|proceed|replace) ?(.*)$/.exec(given) ?? [];
  if (kind === "") throw new Error(`'${given}' is no outcome: skip, proceed or replace <JSON>`);
  return { kind, value: json === "" ? undefined : JSON.parse(json) };
}

function jsonKey<T>(it: Case, key: string, missing?: T): T {
  const text = it.keys[key];
  if (text === undefined) return missing as T; // the caller says what a missing key means
  try {
    return JSON.parse(text) as T; // written by the case's author
  } catch (cause) {
    throw new Error(`${it.file}: ${it.name}: '${key}' is no JSON: ${text}`, { cause });
  }
}

/** A JSON object of parameters, or a query string as it goes over the wire. */
function toQuery(text: string): string {
  if (!text.startsWith("{")) return text;
  return new URLSearchParams(JSON.parse(text) as Record<string, string>).toString().replaceAll("+", "%20");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
