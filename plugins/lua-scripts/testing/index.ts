/** What happens in a repo, as the network tells it. */
export interface IngestEvent {
  /** @default "create" */
  action?: "create" | "update" | "delete";
  collection: string;
  /** @default an account that exists in tests only */
  did?: string;
  /** @default a new one */
  rkey?: string;
  /** Its `$type` is added. A delete has none. */
  record?: Record<string, unknown>;
}

/** The instance of a test: in memory, with the lexicons and scripts of the project and an empty index. */
export interface ScriptTest {
  /** Lets the event pass the record script of its collection: what is stored of the record then, null for nothing. */
  ingest(event: IngestEvent): Promise<Record<string, unknown> | null>;
  /** The body of the answer; its type is the test's claim. @throws Error with the message of a script that fails */
  query<Body = unknown>(nsid: string, params?: Record<string, unknown>): Promise<Body>;
  /** The same for a procedure, called by the account of `ingest`. */
  procedure<Body = unknown>(nsid: string, input?: unknown, params?: Record<string, unknown>): Promise<Body>;
}

interface TestCase {
  name: string;
  body: (instance: ScriptTest) => void | Promise<void>;
}

/** The test files have a copy of this module of their own where jiti loads them. */
const key = Symbol.for("happyview.script-tests");
const shared = globalThis as { [key]?: TestCase[] | undefined };

/**
 * A test of scripts in `test/scripts/**\/*.test.ts`, run by `happyview test`. It fails by what it throws.
 * @example
 * test("a status without an emoji is left out", async ({ ingest }) => {
 *   assert.equal(await ingest({ collection: "xyz.statusphere.status", record: { status: "" } }), null);
 * });
 */
export function test(name: string, body: TestCase["body"]): void {
  const tests = shared[key];
  if (!tests)
    throw new Error(
      `the test "${name}" is run by \`happyview test\`; keep other runners out of its folder: vitest run --exclude "test/scripts/**"`,
    );
  tests.push({ name, body });
}

/** The tests that a file defines while it is loaded. */
export async function collect(load: () => Promise<unknown>): Promise<TestCase[]> {
  const tests: TestCase[] = [];
  shared[key] = tests;
  try {
    await load();
  } finally {
    shared[key] = undefined;
  }
  return tests;
}
