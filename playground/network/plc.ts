import type { Account } from "./account.ts";
import type { Directory } from "./directory.ts";
import type { Faults } from "./faults.ts";
import { jsonReply, type Reply, type Service, startService } from "./service.ts";

export function startPlc(directory: Directory, options: { faults: Faults; port?: number }): Promise<Service> {
  return startService({
    ...options,
    name: "plc",
    answer: ({ method }) => answer(directory, decodeURIComponent(method)),
  });
}

export function didDocument({ did, handle, keypair, pds, labeler }: Account): Record<string, unknown> {
  const keys = { atproto: keypair.did(), ...(labeler ? { atproto_label: labeler.key } : {}) };
  return {
    "@context": [
      "https://www.w3.org/ns/did/v1",
      "https://w3id.org/security/multikey/v1",
      "https://w3id.org/security/suites/secp256k1-2019/v1",
    ],
    id: did,
    alsoKnownAs: [`at://${handle}`],
    verificationMethod: Object.entries(keys).map(([name, key]) => ({
      id: `${did}#${name}`,
      type: "Multikey",
      controller: did,
      publicKeyMultibase: key.slice("did:key:".length),
    })),
    service: [
      { id: "#atproto_pds", type: "AtprotoPersonalDataServer", serviceEndpoint: pds.url },
      ...(labeler ? [{ id: "#atproto_labeler", type: "AtprotoLabeler", serviceEndpoint: labeler.url }] : []),
    ],
  };
}

function answer(directory: Directory, did: string): Reply {
  const account = did.startsWith("did:") ? directory.find(did) : undefined;
  if (!account) return jsonReply({ message: `DID not registered: ${did}` }, 404);
  return { ...jsonReply(didDocument(account)), headers: { "content-type": "application/did+ld+json" } };
}
