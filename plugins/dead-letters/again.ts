import { explain, isHttpError } from "../../core/errors.ts";
import { HttpError, type PluginApp } from "../../core/index.ts";
import type { Letter, Letters } from "./letters.ts";

/**
 * Who can run the letters of a host kind again. What is thrown as an HttpError is the answer as it stands ("there is
 * no script any more"); anything else is one more failed attempt.
 */
export interface LetterOwner {
  /** Runs the script of now once, with the letter's payload; its result is not stored. */
  retry(letter: Letter): Promise<void>;
  /** Fetches what the letter is about from its author and takes it in as if it had just arrived. */
  reindex(letter: Letter): Promise<void>;
}

export interface Again {
  retryWith(hostKind: string, owner: LetterOwner): void;
  retry(letter: Letter): Promise<void>;
  reindex(letter: Letter): Promise<void>;
}

export function createAgain(letters: Letters, log: PluginApp["log"]): Again {
  const owners = new Map<string, LetterOwner>();
  const ownerOf = ({ hostKind }: Letter, act: string): LetterOwner => {
    const owner = owners.get(hostKind);
    if (owner) return owner;
    throw new HttpError(
      400,
      `${hostKind}-arrival dead letters can't be ${act}: nothing here takes a ${hostKind} in again; dismiss them instead`,
    );
  };
  return {
    retryWith: (hostKind, owner) => void owners.set(hostKind, owner),
    async retry(letter) {
      const owner = ownerOf(letter, "retried");
      try {
        await owner.retry(letter);
      } catch (error) {
        if (isHttpError(error)) throw error;
        await letters.failed(letter.id, explain(error));
        throw new HttpError(500, `retry failed for dead letter ${letter.id}: ${explain(error)}`);
      }
      await letters.resolve(letter.id);
    },
    async reindex(letter) {
      const owner = ownerOf(letter, "reindexed");
      try {
        await owner.reindex(letter);
      } catch (error) {
        if (isHttpError(error)) throw error;
        log.warn("a dead letter could not be reindexed", { id: letter.id, error: explain(error) });
        throw new HttpError(500, `reindex failed for dead letter ${letter.id}: ${explain(error)}`);
      }
      await letters.resolve(letter.id);
    },
  };
}
