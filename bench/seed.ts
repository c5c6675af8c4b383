import { openProject } from "./app.ts";

/** Puts so many rows into the project's database through the pipeline, as a stream would. */
export async function seed(root: string, databaseUrl: string, rows: number): Promise<void> {
  await using app = await openProject(root, databaseUrl);
  for (let i = 0; i < rows; i++) {
    const wait = app.records.pipeline.ingest({
      kind: "commit",
      action: "create",
      did: `did:plc:${String(i % 5000).padStart(24, "a")}`,
      collection: "bench.app.post",
      rkey: `r${i}`,
      rev: `3k${String(i).padStart(11, "2")}`,
      cid: "",
      record: {
        $type: "bench.app.post",
        text: `post number ${i}, of about the usual length of a post`,
        createdAt: "2026-01-01T00:00:00Z",
      },
    });
    if (wait) await wait;
  }
  await app.records.pipeline.flush();
}

export const oneUri: string = `at://did:plc:${"0".padStart(24, "a")}/bench.app.post/r0`;
