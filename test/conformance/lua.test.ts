import { databases } from "../setup/databases.ts";
import { testCorpus } from "./corpus.ts";
import { startInstance } from "./instance.ts";

// What the product cannot do yet is a line of pending.ts.
for (const database of databases())
  testCorpus({
    name: `Lua 5.4 on ${database.name}`,
    engine: "lua54",
    dialect: database.name,
    start: () => startInstance(database, "lua54"),
  });
