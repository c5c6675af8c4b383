interface Entry {
  id: number;
  did: string;
  isLive: boolean;
  text: string;
}

interface Repo {
  waiting: Entry[];
  inFlight: Map<number, { entry: Entry; sentAt: number }>;
}

/**
 * Tap's rules of delivery: at least once; of one repo a live event goes alone, after all before it were acknowledged,
 * and others side by side.
 */
export class TapOutbox {
  readonly #send: (did: string, text: string) => boolean;
  readonly #retryMs: number;
  readonly #timer: NodeJS.Timeout;
  #nextId = 1;
  #repos = new Map<string, Repo>();
  #outgoing: Entry[] = [];
  /** Not written down yet. */
  #acknowledged: Entry[] = [];
  #byId = new Map<number, Entry>();

  constructor(retryMs: number, send: (did: string, text: string) => boolean) {
    this.#send = send;
    this.#retryMs = retryMs;
    this.#timer = setInterval(() => this.#retry(), Math.max(5, retryMs / 2));
    this.#timer.unref();
  }

  get pending(): number {
    return this.#byId.size;
  }

  add(did: string, isLive: boolean, textOf: (id: number) => string): void {
    const id = this.#nextId++;
    this.#enter({ id, did, isLive, text: textOf(id) });
  }

  acknowledge(id: number): void {
    const entry = this.#byId.get(id);
    if (!entry) return;
    this.#byId.delete(id);
    this.#acknowledged.push(entry);
    const repo = this.#repos.get(entry.did);
    repo?.inFlight.delete(id);
    if (repo) this.#advance(repo);
    this.flush();
  }

  /** Sends what waits for a channel. */
  flush(): void {
    while (this.#outgoing[0] && this.#send(this.#outgoing[0].did, this.#outgoing[0].text))
      this.#outgoing.shift();
  }

  /** All that was ever acknowledged and not written down is sent again, in its order, before what was not. */
  restore(): void {
    const all = [...this.#acknowledged, ...this.#byId.values()].toSorted((a, b) => a.id - b.id);
    this.#acknowledged = [];
    this.#outgoing = [];
    this.#repos.clear();
    this.#byId.clear();
    for (const entry of all) this.#enter(entry);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #enter(entry: Entry): void {
    this.#byId.set(entry.id, entry);
    const repo: Repo = this.#repos.get(entry.did) ?? { waiting: [], inFlight: new Map() };
    this.#repos.set(entry.did, repo);
    repo.waiting.push(entry);
    this.#advance(repo);
    this.flush();
  }

  #advance(repo: Repo): void {
    for (let next = repo.waiting[0]; next; next = repo.waiting[0]) {
      const isBlocked = [...repo.inFlight.values()].some(({ entry }) => entry.isLive);
      if (isBlocked || (next.isLive && repo.inFlight.size > 0)) return;
      repo.waiting.shift();
      repo.inFlight.set(next.id, { entry: next, sentAt: performance.now() });
      this.#outgoing.push(next);
    }
  }

  #retry(): void {
    for (const { inFlight } of this.#repos.values())
      for (const flight of inFlight.values()) {
        if (performance.now() - flight.sentAt < this.#retryMs || this.#outgoing.includes(flight.entry))
          continue;
        flight.sentAt = performance.now();
        this.#outgoing.push(flight.entry);
      }
    this.flush();
  }
}
