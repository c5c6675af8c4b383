import type { SourceEvent, StreamPosition } from "./change.ts";

/** A place in a stream that the position may pass once it is done. */
export interface Slot {
  position: StreamPosition | undefined;
  done: boolean;
  /** What its event keeps of the memory until it is done. @default 0 */
  bytes?: number;
}

/** An event on its way; what is done leaves only its slot behind. */
export interface Entry {
  event: SourceEvent;
  slot: Slot;
  /** Called once it is done. */
  finished?: (outcome: "stored" | "skipped" | "rejected") => void;
}

/** So many slots that are done may wait behind one that is not, for each that may be pending. */
const doneToPending = 20;

/** Thousands of usual records; of the largest there are, some dozens. */
const maxPendingBytes = 64 * 1024 * 1024;

/**
 * Events in the order of their arrival until they are durable. The position of a source may only move to where every
 * earlier event is done, however the events overtake each other in between.
 */
export class Backlog {
  readonly #limit: number;
  #entries: Slot[] = [];
  #pending = 0;
  #pendingBytes = 0;
  #head = 0;
  #saved = new Map<string, string>();
  #reached = new Map<string, StreamPosition>();
  #waiting: { until: number; go: () => void }[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** How many are not done. */
  get pending(): number {
    return this.#pending;
  }

  add(slot: Slot): void {
    this.#entries.push(slot);
    if (slot.done) return;
    this.#pending += 1;
    this.#pendingBytes += slot.bytes ?? 0;
  }

  finish(slot: Slot): void {
    if (slot.done) return;
    this.#pending -= 1;
    this.#pendingBytes -= slot.bytes ?? 0;
    slot.done = true;
  }

  /** The positions to store together with `batch`, one a source; empty when none moves. */
  positionsAfter(batch: readonly Slot[]): StreamPosition[] {
    const now = new Set(batch);
    const reached = new Map(this.#reached);
    for (let i = this.#head; i < this.#entries.length; i++) {
      const entry = this.#entries[i];
      if (!entry || !(entry.done || now.has(entry))) break;
      if (entry.position) reached.set(entry.position.source, entry.position);
    }
    return [...reached.values()].filter(({ source, position }) => this.#saved.get(source) !== position);
  }

  /** The positions are stored: they need not be written again. */
  confirm(positions: readonly StreamPosition[]): void {
    for (const { source, position } of positions) this.#saved.set(source, position);
  }

  /** Drops what is done from the front and lets sources and waiters go on. */
  settle(): void {
    for (let entry = this.#entries[this.#head]; entry?.done; entry = this.#entries[++this.#head])
      if (entry.position) this.#reached.set(entry.position.source, entry.position);
    if (this.#head > 1024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    const load = this.#load;
    const go = this.#waiting.filter((waiter) => load <= waiter.until);
    if (go.length === 0) return;
    this.#waiting = this.#waiting.filter((waiter) => load > waiter.until);
    for (const waiter of go) waiter.go();
  }

  /** Nothing while there is room, else a promise that resolves when half of it is free again. */
  room(): Promise<void> | undefined {
    if (this.#load < this.#limit) return undefined;
    this.settle();
    if (this.#load < this.#limit) return undefined;
    return new Promise((go) => this.#waiting.push({ until: this.#limit / 2, go }));
  }

  /** Resolves when nothing is left. */
  drained(): Promise<void> {
    this.settle();
    if (this.#load === 0) return Promise.resolve();
    return new Promise((go) => this.#waiting.push({ until: 0, go }));
  }

  get #load(): number {
    return Math.max(
      this.#pending,
      (this.#entries.length - this.#head) / doneToPending,
      (this.#pendingBytes / maxPendingBytes) * this.#limit,
    );
  }
}
