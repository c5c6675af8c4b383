import base from "./vitest.config.ts";

/** What `happyview build` makes: the HTTP suite, signals, what is inside. Apart, since it builds first. */
export default {
  ...base,
  test: { ...base.test, include: ["test/server/**/*.test.ts"], exclude: ["**/node_modules/**"] },
};
