import { test } from "vitest";
import type { Engine, HostApi, Limits } from "../../../../plugins/lua-scripts/engine/engine.ts";

/** One implementation under the common suites. */
export interface Subject {
  create: (api?: HostApi) => Engine;
  /** For a script that never ends by itself and that another ceiling than time would stop in Lua 5.4. */
  endlessLimits?: Partial<Limits>;
  /** Cases it cannot pass, by `group: case`. Each must fail indeed. */
  exceptions?: Readonly<Record<string, unknown>>;
}

interface Cases {
  test(name: string, body: () => Promise<void>): void;
  each<Row extends readonly [string, ...unknown[]]>(
    group: string,
    rows: readonly Row[],
    body: (row: Row) => Promise<void>,
  ): void;
}

export function cases({ exceptions = {} }: Subject): Cases {
  const known = (key: string): typeof test | typeof test.fails =>
    Object.hasOwn(exceptions, key) ? test.fails : test;
  return {
    test: (name, body) => known(name)(name, body),
    each(group, rows, body) {
      for (const row of rows) known(`${group}: ${row[0]}`)(row[0], () => body(row));
    },
  };
}
