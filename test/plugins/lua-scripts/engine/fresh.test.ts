import { testFreshness } from "../engines/_fresh.ts";
import { createTestEngine } from "./_run.ts";

testFreshness({ create: createTestEngine });
