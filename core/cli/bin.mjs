#!/usr/bin/env node
// Runs on any Node, so that a too old one gets an answer instead of a syntax error.
var version = process.versions.node.split(".").map(Number);
if (version[0] < 22 || (version[0] === 22 && version[1] < 15)) {
  console.error(
    "happyview needs Node.js 22.15 or newer; this is " +
      process.version +
      ".\nGet a current one from https://nodejs.org/en/download, or with a version manager: nvm install 24",
  );
  process.exit(1);
}
import("../../dist/core/cli/main.js").then(function (cli) {
  return cli.main();
});
