import type { Database, Queries, SqlValue } from "../../core/db/database.ts";

export interface Statement {
  sql: string;
  params: readonly SqlValue[];
}

/** A database that remembers the reads, updates and deletes that pass through it. */
export function recording(db: Database): { db: Database; statements(): Statement[] } {
  const seen = new Map<string, Statement>();
  const note = (sql: string, params: readonly SqlValue[]): void => {
    if (!/^\s*INSERT[^;]*VALUES/i.test(sql)) seen.set(sql, { sql, params });
  };
  const wrap = <Q extends Queries>(inner: Q): Q => ({
    ...inner,
    all(sql, params = []) {
      note(sql, params);
      return inner.all(sql, params);
    },
    get(sql, params = []) {
      note(sql, params);
      return inner.get(sql, params);
    },
    run(sql, params = []) {
      note(sql, params);
      return inner.run(sql, params);
    },
    selectByKeys(select, column, keys) {
      if (keys[0] !== undefined) note(`${select} WHERE ${column} IN (?)`, [keys[0]]);
      return inner.selectByKeys(select, column, keys);
    },
    deleteByKeys(table, column, keys) {
      if (keys[0] !== undefined) note(`DELETE FROM ${table} WHERE ${column} IN (?)`, [keys[0]]);
      return inner.deleteByKeys(table, column, keys);
    },
  });
  return {
    db: { ...db, ...wrap(db), transaction: (work) => db.transaction((tx) => work(wrap(tx))) },
    statements: () => [...seen.values()],
  };
}
