import { defineConfig } from "happyview";
import { backfill } from "happyview/plugins/backfill";
import { deadLetters } from "happyview/plugins/dead-letters";
import { eventLog } from "happyview/plugins/event-log";
import { firehose } from "happyview/plugins/firehose";
import { jobs } from "happyview/plugins/jobs";
import { luaScripts } from "happyview/plugins/lua-scripts";
import { networkLexicons } from "happyview/plugins/network-lexicons";
import { users } from "happyview/plugins/users";

export default defineConfig({
  plugins: [
    eventLog(),
    firehose(),
    backfill(),
    luaScripts(),
    deadLetters(),
    jobs(),
    networkLexicons(),
    users(),
  ],
  lexicons: {
    "xyz.statusphere.listStatuses": { targetCollection: "xyz.statusphere.status" },
    "xyz.statusphere.countByEmoji": { targetCollection: "xyz.statusphere.status" },
  },
  settings: { app_name: "Statusphere" },
});
