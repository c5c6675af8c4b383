import { explain } from "./errors.ts";
import type { Logger } from "./log.ts";

export interface CheckResult {
  ok: boolean;
  /** What an operator should know, also when all is well. */
  detail?: Record<string, unknown>;
}

export interface Health {
  /** Adds a check to `GET /health/ready`; one that throws is not ok. */
  check(name: string, run: () => CheckResult | Promise<CheckResult>): void;
  report(): Promise<{ ready: boolean; checks: Record<string, CheckResult> }>;
}

export function createHealth(log: Logger): Health {
  const checks = new Map<string, () => CheckResult | Promise<CheckResult>>();
  return {
    check: (name, run) => void checks.set(name, run),
    async report() {
      const results = await Promise.all(
        [...checks].map(async ([name, run]): Promise<[string, CheckResult]> => {
          try {
            return [name, await run()];
          } catch (error) {
            // Everybody may ask; the reason may hold addresses.
            log.error(`the health check "${name}" failed`, { error: explain(error) });
            return [name, { ok: false, detail: { error: "it does not answer; see the log" } }];
          }
        }),
      );
      return { ready: results.every(([, result]) => result.ok), checks: Object.fromEntries(results) };
    },
  };
}
