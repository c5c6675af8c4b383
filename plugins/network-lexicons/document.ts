import { HttpError } from "../../core/index.ts";
import { isObject, parseLexicon, type LexiconDocument } from "../../core/lexicons/document.ts";
import { lexiconSchema } from "../../core/records/change.ts";
import { isShallow } from "../firehose/decode.ts";

/** Far above any lexicon; a PDS takes records of about this size. */
export const maxDocumentBytes: number = 1024 * 1024;

/**
 * The record of an authority as a lexicon document: of the right type, under the key that is its id, and one that can
 * be served.
 * @throws HttpError 400
 */
export function checkPublished(nsid: string, record: unknown): LexiconDocument {
  const refuse = (reason: string): HttpError => new HttpError(400, `the lexicon record of ${nsid} ${reason}`);
  if (!isObject(record)) throw refuse("is no object");
  if (record["$type"] !== lexiconSchema) throw refuse(`is of the type ${shown(record["$type"])}`);
  if (record["id"] !== nsid) throw refuse(`carries the id ${shown(record["id"])}`);
  if (!isShallow(record)) throw refuse("is nested too deeply");
  const { length } = JSON.stringify(record);
  if (length > maxDocumentBytes) throw refuse(`has ${length} characters, more than ${maxDocumentBytes}`);
  parseLexicon(record);
  return record;
}

function shown(value: unknown): string {
  return (typeof value === "string" ? JSON.stringify(value) : typeof value).slice(0, 330);
}
