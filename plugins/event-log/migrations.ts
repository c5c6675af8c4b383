import type { Migration } from "../../core/index.ts";

const tables = `
  CREATE TABLE happyview_event_logs (
    id TEXT PRIMARY KEY,
    event_type TEXT NOT NULL,
    severity TEXT NOT NULL DEFAULT 'info',
    actor_did TEXT,
    subject TEXT,
    detail TEXT NOT NULL DEFAULT '{}',
    created_at TEXT NOT NULL
  );
  CREATE INDEX happyview_event_logs_by_time ON happyview_event_logs (created_at DESC);
  CREATE INDEX happyview_event_logs_by_type ON happyview_event_logs (event_type, created_at DESC);`;

export const migrations: readonly Migration[] = [{ id: "0001_event_logs", sqlite: tables, postgres: tables }];
