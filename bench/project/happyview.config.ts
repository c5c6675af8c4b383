import { defineConfig } from "happyview";
import { firehose } from "happyview/plugins/firehose";
import { luaScripts } from "happyview/plugins/lua-scripts";

export default defineConfig({
  plugins: [firehose(), luaScripts()],
  lexicons: {
    "bench.app.list": { targetCollection: "bench.app.post" },
    "bench.app.scripted": { targetCollection: "bench.app.post" },
    "bench.app.hostile": { targetCollection: "bench.app.post" },
  },
});
