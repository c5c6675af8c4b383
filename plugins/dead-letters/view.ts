import type { Letter } from "./letters.ts";

export interface LetterSummary {
  id: string;
  lexicon_id: string;
  uri: string;
  did: string;
  collection: string;
  rkey: string;
  action: string;
  error: string;
  attempts: number;
  created_at: string;
  /** Absent while it is open. */
  resolved_at?: string;
}

/** A letter as the admin API lists it; labels borrow the fields of records (lua §1.5). */
export function toSummary(letter: Letter): LetterSummary {
  const { payload, scriptRef } = letter;
  const text = (name: string): string => (typeof payload[name] === "string" ? payload[name] : "");
  const common = {
    id: letter.id,
    lexicon_id: scriptRef,
    uri: text("uri"),
    error: letter.error,
    attempts: letter.attempts,
    created_at: letter.createdAt,
    ...(letter.resolvedAt === null ? {} : { resolved_at: letter.resolvedAt }),
  };
  return letter.hostKind === "label"
    ? {
        ...common,
        did: letter.hostId,
        collection: scriptRef.slice(scriptRef.indexOf(":") + 1),
        rkey: text("val"),
        action: "label",
      }
    : {
        ...common,
        did: text("did"),
        collection: text("collection"),
        rkey: text("rkey"),
        action: text("action"),
      };
}

export function toDetail(letter: Letter): LetterSummary & { record: unknown } {
  const record = letter.hostKind === "label" ? letter.payload : (letter.payload["record"] ?? null);
  return { ...toSummary(letter), record };
}
