import { isValidDid } from "@atproto/syntax";
import { HttpError } from "../../core/index.ts";

/** A labeler whose labels a request asks for. */
export interface AcceptedLabeler {
  did: string;
  /** What it takes down is left out instead of labelled. */
  redact: boolean;
}

/** A request that asks for more is refused, as the label spec allows. */
const maxLabelers = 20;

/**
 * Reads `atproto-accept-labelers`: DIDs, each with the parameters that it has anywhere in the list (label spec, HTTP
 * headers).
 * @throws HttpError 400
 */
export function readAcceptLabelers(header: string): AcceptedLabeler[] {
  if (header.trim() === "") return [];
  const labelers = new Map<string, AcceptedLabeler>();
  for (const entry of header.split(",", 10 * maxLabelers)) {
    const [did = "", ...params] = entry.split(";").map((part) => part.trim());
    if (!isValidDid(did)) throw refused(`"${did.slice(0, 100)}" is no DID`);
    if (!params.every((param) => /^[a-z*][a-z0-9_.*-]*$/.test(param)))
      throw refused(`the parameters of ${did.slice(0, 100)} are no names`);
    const redact = params.includes("redact") || labelers.get(did)?.redact === true;
    labelers.set(did, { did, redact });
  }
  if (labelers.size > maxLabelers) throw refused(`it names more than ${maxLabelers} labelers`);
  return [...labelers.values()];
}

/** The same header of an answer. */
export function writeContentLabelers(labelers: readonly AcceptedLabeler[]): string {
  return labelers.map(({ did, redact }) => (redact ? `${did};redact` : did)).join(", ");
}

function refused(reason: string): HttpError {
  return new HttpError(400, {
    error: "InvalidRequest",
    message: `the header atproto-accept-labelers cannot be read: ${reason}`,
  });
}
