/** A place in a stream whose messages are numbered. */
export interface Place {
  seq: number;
  /** How far the stream had come in time; Unix microseconds. */
  timeUs: number | undefined;
}

/** Up to where everything is done, while some of it is done beside the stream, and later. */
export class Watermark {
  #passed: Place | undefined;
  /** By seq, in their order: the places before what is still waiting. */
  readonly #waiting = new Map<number, Place>();

  /** Nothing can be read anew from behind `seq` before it is released. */
  hold({ seq, timeUs }: Place): void {
    this.#waiting.set(seq, { seq: seq - 1, timeUs });
  }

  release(seq: number): Place | undefined {
    this.#waiting.delete(seq);
    return this.#place;
  }

  /** The stream itself has come to here. */
  pass(place: Place): Place | undefined {
    this.#passed = place;
    return this.#place;
  }

  get #place(): Place | undefined {
    const [first] = this.#waiting.values();
    return first && this.#passed && first.seq < this.#passed.seq ? first : this.#passed;
  }
}
