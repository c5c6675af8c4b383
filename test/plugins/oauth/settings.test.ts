import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { oauth } from "../../../plugins/oauth/index.ts";
import { users } from "../../../plugins/users/index.ts";
import { startApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { createRecordingLog } from "../../setup/log.ts";

const off = "signing in to the admin API is off";
const plain = "the PDS tokens of people who sign in are stored as they are";
const secret = { SESSION_SECRET: randomBytes(32).toString("hex") };
const key = { TOKEN_ENCRYPTION_KEY: randomBytes(32).toString("base64") };

test.each([
  ["nothing is set", {}, [off]],
  ["the secret is short", { SESSION_SECRET: "short", ...key }, [off]],
  ["there is no key", secret, [plain]],
  ["both are there", { ...secret, ...key }, []],
])("the operator is told what is missing: %s", async (_, env, warnings) => {
  const [sqlite] = databases();
  if (!sqlite) throw new Error("no SQLite");
  const { log, messages } = createRecordingLog();
  await using _app = await startApp(sqlite, { plugins: [users(), oauth()] }, { env, log });
  expect(messages("warn").filter((message) => [off, plain].includes(message))).toEqual(warnings);
});
