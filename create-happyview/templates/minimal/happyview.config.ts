import { defineConfig } from "happyview";
import { eventLog } from "happyview/plugins/event-log";
import { firehose } from "happyview/plugins/firehose";
import { luaScripts } from "happyview/plugins/lua-scripts";

export default defineConfig({
  plugins: [eventLog(), firehose(), luaScripts()],
  lexicons: {
    "com.example.listNotes": { targetCollection: "com.example.note" },
  },
  settings: {
    // Methods that are not served here are not forwarded either; "open" sends them to whoever publishes them.
    xrpc_proxy_config: '{"mode":"disabled"}',
  },
});
