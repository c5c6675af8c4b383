import { test } from "vitest";
import type { Engine, HostApi, Limits } from "../../../../plugins/lua-scripts/engine/engine.ts";
import { isExcepted } from "../../../conformance/differences.ts";

/** One implementation under the common suites. */
export interface Subject {
  /** Its name in the list of known differences, whose cases must fail. @default "lua54" */
  engine?: string;
  create: (api?: HostApi) => Engine;
  /** For a script that never ends by itself and that another ceiling than time would stop in Lua 5.4. */
  endlessLimits?: Partial<Limits>;
}

interface Cases {
  test(name: string, body: () => Promise<void>): void;
  each<Row extends readonly [string, ...unknown[]]>(
    group: string,
    rows: readonly Row[],
    body: (row: Row) => Promise<void>,
  ): void;
}

/** Every case that was registered in this file, by its name in the list of known differences. */
export const registered: Set<string> = new Set();

export function cases({ engine = "lua54" }: Subject): Cases {
  const named = (key: string): typeof test | typeof test.fails => {
    const name = `engines: ${key}`;
    registered.add(name);
    return isExcepted(engine, name) ? test.fails : test;
  };
  return {
    test: (name, body) => named(name)(name, body),
    each(group, rows, body) {
      for (const row of rows) named(`${group}: ${row[0]}`)(row[0], () => body(row));
    },
  };
}
