import { testRuns } from "../engines/_runs.ts";
import { createTestEngine } from "./_run.ts";

testRuns({ create: createTestEngine });
