import { createApp, createLogger } from "../../../core/index.ts";
import { resolveConfig } from "../../../core/config/resolve.ts";
import { closeOnSignal } from "../../../core/server/node.ts";
import { labelers } from "../../../plugins/labelers/index.ts";

/** A server that is killed and started again; DATABASE_URL, PLC_URL and LABELER say on what. */
const config = resolveConfig(
  {
    plugins: [labelers({ random: () => 0, quietMs: 100 })],
    labelers: [process.env["LABELER"] ?? ""],
  },
  { mode: "development", root: ".", env: process.env },
);
const app = await createApp({ config, log: createLogger({ level: "warn" }) });
closeOnSignal(app.close);
