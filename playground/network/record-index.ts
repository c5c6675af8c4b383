import type { Cid, LexMap } from "@atproto/lex-data";
import { toSortedJson } from "./record.ts";
import type { JsonRecord } from "./event.ts";

export interface StoredRecord {
  cid: Cid;
  value: JsonRecord;
}

interface Collection {
  records: Map<string, StoredRecord>;
  /** Keys in order, made when a page is asked for and forgotten at the next change of keys. */
  sorted?: string[] | undefined;
}

/** The records of one repo by collection and key, for the answers that are JSON. */
export class RecordIndex {
  readonly #collections = new Map<string, Collection>();
  readonly #references = new Map<string, number>();

  get(collection: string, rkey: string): StoredRecord | undefined {
    return this.#collections.get(collection)?.records.get(rkey);
  }

  collections(): string[] {
    return [...this.#collections.keys()].toSorted();
  }

  hasCid(cid: Cid): boolean {
    return this.#references.has(cid.toString());
  }

  /** Keys beyond `after` in descending order, or ascending when reversed. */
  keys(
    collection: string,
    { after, limit, reverse }: { after?: string; limit: number; reverse: boolean },
  ): string[] {
    const entry = this.#collections.get(collection);
    if (!entry) return [];
    entry.sorted ??= [...entry.records.keys()].toSorted();
    const beyond = entry.sorted.filter((key) => after === undefined || (reverse ? key > after : key < after));
    return reverse ? beyond.slice(0, limit) : beyond.slice(-limit).toReversed();
  }

  apply(op: {
    collection: string;
    rkey: string;
    prev: Cid | null;
    cid: Cid | null;
    record: LexMap | null;
  }): void {
    const entry: Collection = this.#collections.get(op.collection) ?? { records: new Map() };
    if (op.prev) this.#count(op.prev, -1);
    if (op.cid && op.record) {
      this.#count(op.cid, 1);
      entry.records.set(op.rkey, { cid: op.cid, value: toSortedJson(op.record) });
    } else entry.records.delete(op.rkey);
    entry.sorted = undefined;
    if (entry.records.size > 0) this.#collections.set(op.collection, entry);
    else this.#collections.delete(op.collection);
  }

  #count(cid: Cid, by: number): void {
    const key = cid.toString();
    const count = (this.#references.get(key) ?? 0) + by;
    if (count > 0) this.#references.set(key, count);
    else this.#references.delete(key);
  }
}
