import { databases } from "../setup/databases.ts";
import { testCorpus } from "./corpus.ts";
import { startInstance } from "./instance.ts";

// On one database only: engines see rows as JSON text, which is the same from both.
for (const database of databases().slice(0, 1))
  testCorpus({
    name: `fengari on ${database.name}`,
    engine: "fengari",
    dialect: database.name,
    start: () => startInstance(database, "fengari"),
  });
