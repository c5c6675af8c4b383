import { describe, expect, test } from "vitest";
import { definePlugin } from "../../../core/plugin.ts";
import { createBudgets, type Budgets } from "../../../plugins/lua-scripts/budgets.ts";
import { adminHeaders, startApp } from "../../setup/app.ts";
import { jsonBody } from "../../suites/http/subject.ts";
import { sqlite, startBench, type Bench } from "./host/_bench.ts";

const instructions = "script_instruction_limit";
const seconds = "script_wall_clock_seconds";

const put = (bench: Bench, key: string, value: string): Promise<Response> =>
  bench.request(`/admin/settings/${key}`, jsonBody("PUT", { value }, adminHeaders));
const remove = (bench: Bench, key: string): Promise<Response> =>
  bench.request(`/admin/settings/${key}`, { method: "DELETE", headers: adminHeaders });

const loop = "local n = 0 for i = 1, 2000000 do n = n + i end return 1";
const endless = "while true do end";

/** What the last failed run was allowed, by the event that tells it. */
async function ofLimits({ query, events }: Bench): Promise<Record<string, { of: number | null }>> {
  expect(await query(endless)).toMatchObject({ status: 408 });
  const detail = events.findLast(({ type }) => type === "script.error")?.detail;
  return (detail as { limits: Record<string, { of: number | null }> }).limits; // as limitsUsed writes it
}

describe("the budgets of scripts", () => {
  test("a stored row wins over the environment, that over the config; each run asks anew", async () => {
    const bench = await startBench(
      { limits: { instructions: 100_000, milliseconds: 4000 } },
      { env: { SCRIPT_INSTRUCTION_LIMIT: "300000", SCRIPT_WALL_CLOCK_SECONDS: "7" } },
    );
    expect(await ofLimits(bench)).toMatchObject({ instructions: { of: 300_000 }, ms: { of: 7000 } });
    expect((await put(bench, instructions, "50000000")).status).toBe(204);
    expect(await bench.query(loop)).toMatchObject({ status: 200 });
    expect((await put(bench, instructions, "2000")).status).toBe(204);
    expect((await put(bench, seconds, "2")).status).toBe(204);
    expect(await ofLimits(bench)).toMatchObject({ instructions: { of: 2000 }, ms: { of: 2000 } });
    await remove(bench, instructions);
    await remove(bench, seconds);
    expect(await ofLimits(bench)).toMatchObject({ instructions: { of: 300_000 }, ms: { of: 7000 } });
  });

  test("what is out of range is refused by name, and ignored where it is already there", async () => {
    const bench = await startBench(
      { limits: { instructions: 100_000 } },
      { env: { SCRIPT_INSTRUCTION_LIMIT: "999" } },
    );
    for (const value of ["999", "1000000001", "", "1e6", "-5", "1.5"]) {
      const response = await put(bench, instructions, value);
      expect([response.status, await response.json()]).toEqual([
        400,
        { error: "script_instruction_limit must be an integer from 1000 to 1000000000" },
      ]);
    }
    const response = await put(bench, seconds, "301");
    expect(await response.json()).toEqual({
      error: "script_wall_clock_seconds must be an integer from 1 to 300",
    });
    expect(await ofLimits(bench)).toMatchObject({ instructions: { of: 100_000 }, ms: { of: 10_000 } });
  });

  test("the settings are listed with their source", async () => {
    const env = { SCRIPT_WALL_CLOCK_SECONDS: "7", SCRIPT_INSTRUCTION_LIMIT: "5000" };
    const bench = await startBench({}, { env });
    await put(bench, instructions, "6000");
    const response = await bench.request("/admin/settings", { headers: adminHeaders });
    expect(await response.json()).toEqual([
      { key: instructions, value: "6000", source: "database" },
      { key: seconds, value: "7", source: "env" },
    ]);
  });

  test("kinds differ; a row out of range counts for nothing", async () => {
    let budgets: Budgets = () => ({});
    const probe = definePlugin({
      name: "probe",
      async setup(app) {
        await app.settings.put(instructions, "5");
        await app.settings.put(seconds, "2");
        budgets = createBudgets(app);
      },
    });
    await using _app = await startApp(sqlite, { plugins: [probe()], settings: { [instructions]: "4000" } });
    expect(budgets("query")).toEqual({ instructions: 4000, milliseconds: 2000 });
    expect(budgets("procedure")).toEqual({ instructions: 4000, milliseconds: 2000 });
    expect(budgets("record")).toEqual({ instructions: 4000 });
    expect(budgets("label")).toEqual({ instructions: 4000 });
    expect(budgets("job")).toEqual({});
  });
});
