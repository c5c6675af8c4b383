import { expect, test } from "vitest";
import { document } from "./_document.ts";

// `npx vitest run test/plugins/lua-scripts/engines/document.test.ts --update` writes it anew.
test("docs/lua-engines.md tells the known differences", async () => {
  await expect(document()).toMatchFileSnapshot("../../../../docs/lua-engines.md");
});
