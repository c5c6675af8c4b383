import { testValues } from "../engines/_values.ts";
import { createTestEngine } from "./_run.ts";

testValues({ create: createTestEngine });
