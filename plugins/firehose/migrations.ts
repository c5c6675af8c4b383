import type { Migration } from "../../core/index.ts";

export const migrations: readonly Migration[] = [
  {
    id: "0001_proofs",
    sqlite: proofs("TEXT", "INTEGER"),
    postgres: proofs('TEXT COLLATE "C"', "BIGINT"),
  },
  {
    id: "0002_resyncs",
    sqlite: resyncs("TEXT", "INTEGER"),
    postgres: resyncs('TEXT COLLATE "C"', "BIGINT"),
  },
];

/** Counts of samples. */
function proofs(text: string, int: string): string {
  return `CREATE TABLE happyview_firehose_proofs (
    collection ${text} NOT NULL,
    result ${text} NOT NULL,
    count ${int} NOT NULL,
    PRIMARY KEY (collection, result)
  );`;
}

/** Repos that will be read anew, and when: Unix milliseconds. */
function resyncs(text: string, int: string): string {
  return `CREATE TABLE happyview_firehose_resyncs (
    did ${text} PRIMARY KEY,
    due_at ${int} NOT NULL
  );`;
}
