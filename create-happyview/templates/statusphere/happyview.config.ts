import { defineConfig } from "happyview";
import { backfill } from "happyview/plugins/backfill";
import { eventLog } from "happyview/plugins/event-log";
import { firehose } from "happyview/plugins/firehose";
import { luaScripts } from "happyview/plugins/lua-scripts";

export default defineConfig({
  plugins: [eventLog(), firehose(), backfill(), luaScripts()],
  lexicons: {
    "xyz.statusphere.listStatuses": { targetCollection: "xyz.statusphere.status" },
    "xyz.statusphere.countByEmoji": { targetCollection: "xyz.statusphere.status" },
  },
  settings: {
    app_name: "Statusphere",
    // Methods that are not served here are not forwarded either; "open" sends them to whoever publishes them.
    xrpc_proxy_config: '{"mode":"disabled"}',
  },
});
