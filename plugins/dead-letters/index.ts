import { definePlugin } from "../../core/index.ts";
import { deadLettersAdmin } from "./admin.ts";
import { createAgain, type LetterOwner } from "./again.ts";
import { createLetters, type NewLetter } from "./letters.ts";
import { migrations } from "./migrations.ts";
import { sweepLetters } from "./retention.ts";

export interface DeadLettersOptions {
  /** Days a resolved letter is kept; 0 keeps all. @default 30, or DEAD_LETTER_RETENTION_DAYS */
  retentionDays?: number;
}

/** What other plugins get: a place for what their scripts could not handle. */
export interface DeadLettersApi {
  add(letter: NewLetter): Promise<void>;
  /** Names who runs the letters of a host kind again; without one they can only be dismissed. */
  retryWith(hostKind: string, owner: LetterOwner): void;
}

export type { Letter, NewLetter } from "./letters.ts";
export type { LetterOwner } from "./again.ts";

/** Keeps what scripts failed on, and lets an admin retry, reindex or dismiss it at `/admin/dead-letters` (lua §1.5). */
export const deadLetters = definePlugin({
  name: "dead-letters",
  migrations,
  setup(app, options: DeadLettersOptions): DeadLettersApi {
    const letters = createLetters(app);
    const again = createAgain(letters, app.log);
    deadLettersAdmin(app, letters, again);
    const days = options.retentionDays ?? Number(app.config.env["DEAD_LETTER_RETENTION_DAYS"] ?? 30);
    app.hook("app:ready", () => app.onClose(sweepLetters(letters, app, days)));
    return { add: letters.add, retryWith: again.retryWith };
  },
});
