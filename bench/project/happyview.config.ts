import { defineConfig } from "happyview";
import { backfill } from "happyview/plugins/backfill";
import { firehose } from "happyview/plugins/firehose";
import { luaScripts } from "happyview/plugins/lua-scripts";

export default defineConfig({
  plugins: [firehose(), backfill(), luaScripts()],
  lexicons: {
    "bench.app.list": { targetCollection: "bench.app.post" },
    "bench.app.scripted": { targetCollection: "bench.app.post" },
    "bench.app.hostile": { targetCollection: "bench.app.post" },
  },
});
