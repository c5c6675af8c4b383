import { definePlugin } from "../../core/index.ts";
import { eventsAdmin } from "./admin.ts";
import { migrations } from "./migrations.ts";
import { createRecorder } from "./recorder.ts";
import { sweepEvents } from "./retention.ts";

export interface EventLogOptions {
  /** Days an entry is kept; 0 keeps all. @default 30, or EVENT_LOG_RETENTION_DAYS */
  retentionDays?: number;
}

/** Keeps what the instance announces and shows it at `GET /admin/events` (admin-api §2.10). */
export const eventLog = definePlugin({
  name: "event-log",
  migrations,
  setup(app, options: EventLogOptions) {
    // Every record of the network would be an entry: off unless asked for, as in HappyView since 2.10.
    app.settings.define({ key: "verbose_event_logging", env: "VERBOSE_EVENT_LOGGING", default: "false" });
    const recorder = createRecorder(app.db, app.log);
    const isVerbose = (): boolean => app.settings.isOn("verbose_event_logging");
    app.hook("event", (event) => {
      if (!isHighVolume(event.type) || isVerbose()) recorder.add(event);
    });
    app.hook("record:after", (changes) => {
      if (!isVerbose()) return;
      for (const { action, uri, did, collection, rkey } of changes)
        recorder.add({
          type: action === "delete" ? "record.deleted" : "record.created",
          severity: "info",
          actor: null,
          subject: uri,
          detail: { collection, did, rkey },
          at: app.clock.timestamp(),
        });
    });
    eventsAdmin(app, recorder);
    const days = options.retentionDays ?? Number(app.config.env["EVENT_LOG_RETENTION_DAYS"] ?? 30);
    app.hook("app:ready", () => app.onClose(sweepEvents(app, days)));
    app.onClose(() => recorder.close());
  },
});

function isHighVolume(type: string): boolean {
  return type === "script.executed" || type === "record.skipped";
}
