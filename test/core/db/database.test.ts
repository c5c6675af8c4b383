import { databases } from "../../setup/databases.ts";
import { testDatabase } from "../../suites/database.ts";

for (const subject of databases()) testDatabase(subject);
