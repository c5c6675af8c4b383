/**
 * Work that is begun at once and finished in the order it was given: commits are verified side by side, and reach the
 * pipeline as they came. Neither the work nor its finish may reject.
 */
export class Lineup {
  readonly #limit: number;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  /** How many may be under way before `add` asks to wait. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** `finish` gets the result when all before it have finished; a promise means "give no more before it resolves". */
  add<T>(work: T | Promise<T>, finish: (result: T) => Promise<void> | void): Promise<void> | void {
    if (this.#waiting === 0 && !(work instanceof Promise)) return finish(work);
    this.#waiting += 1;
    this.#last = Promise.all([work, this.#last]).then(async ([result]) => {
      await finish(result);
      this.#waiting -= 1;
    });
    return this.#waiting >= this.#limit ? this.#last : undefined;
  }

  /** Resolves when all has finished. */
  done(): Promise<void> {
    return this.#last;
  }
}
