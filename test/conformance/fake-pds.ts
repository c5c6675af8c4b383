import { PdsAuthError, type PdsWriter } from "../../plugins/lua-scripts/host/pds.ts";

/** What the PDS says to one call: a body with status 200, a refusal, or that the session is over. */
export type PdsReply = Record<string, unknown> | { status: number; body: unknown } | { expired: string };

/** The PDS of every caller, with answers that the case prepares. */
export interface FakePds {
  writer: PdsWriter;
  /** With undefined, callers have no session. */
  expect(replies: readonly PdsReply[] | undefined): void;
  calls(): readonly (readonly [method: string, body: unknown])[];
}

export function createFakePds(): FakePds {
  let replies: PdsReply[] | undefined;
  let calls: [string, unknown][] = [];
  return {
    expect(given) {
      replies = given && [...given];
      calls = [];
    },
    calls: () => calls,
    writer: {
      session: async () => (replies ? { post } : undefined),
    },
  };

  async function post(method: string, body: string): Promise<{ status: number; body: string }> {
    calls.push([method, JSON.parse(body)]);
    const reply = replies?.shift();
    if (!reply) throw new Error(`the case has no answer for another ${method}`);
    if ("expired" in reply) throw new PdsAuthError(String(reply.expired));
    if ("status" in reply) return { status: Number(reply.status), body: JSON.stringify(reply.body) };
    return { status: 200, body: JSON.stringify(reply) };
  }
}
