import base from "./vitest.config.ts";

/** The HTTP suite on what `happyview build` makes; apart, since it builds first. */
export default {
  ...base,
  test: { ...base.test, include: ["test/output/**/*.test.ts"], exclude: ["**/node_modules/**"] },
};
