#!/usr/bin/env node
// CommonJS in the oldest syntax: any Node must be able to read this file, or it cannot say what is missing.
"use strict";

var found = process.versions.node.split(".").map(Number);

if (found[0] < 22 || (found[0] === 22 && found[1] < 15)) {
  console.error(
    "create-happyview needs Node.js 22.15 or newer; this is " +
      process.version +
      ".\nGet a current one from https://nodejs.org/en/download, or with a version manager: nvm install 24" +
      "\nNothing was written.",
  );
  process.exitCode = 1;
} else {
  require("./main.mjs").main(process.argv.slice(2));
}
