import { afterAll, beforeAll, describe } from "vitest";
import { adminCases } from "./http/admin.ts";
import { lexiconCases } from "./http/lexicons.ts";
import { publicCases } from "./http/public.ts";
import { recordCases } from "./http/records.ts";
import type { HttpSubject, RunningSubject } from "./http/subject.ts";
import { xrpcCases } from "./http/xrpc.ts";

export type { HttpSubject, RunningSubject } from "./http/subject.ts";

/** What every instance does over HTTP, in this process or from a build. The instance starts empty, with no plugin needed. */
export function testHttp(subject: HttpSubject): void {
  describe(`HTTP of ${subject.name}`, () => {
    let running: RunningSubject | undefined;
    beforeAll(async () => {
      running = await subject.start();
    });
    afterAll(() => running?.stop());

    const get = (): RunningSubject => {
      if (!running) throw new Error("the subject has not started");
      return running;
    };
    publicCases(get);
    adminCases(get);
    lexiconCases(get);
    recordCases(get);
    xrpcCases(get);
  });
}
