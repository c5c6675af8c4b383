import { PdsAuthError } from "../../core/index.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";

/** An endpoint that an authorization server names in its metadata; undefined when it names none. @throws PdsAuthError */
export async function endpointOf(
  issuer: string,
  name: "token_endpoint" | "revocation_endpoint",
  fetch: OutgoingFetch,
): Promise<string | undefined> {
  const endpoint = (await serverMetadata(issuer, fetch))[name];
  return typeof endpoint === "string" && URL.canParse(endpoint) ? endpoint : undefined;
}

/** RFC 8414 metadata; its issuer must be the one that was asked. @throws PdsAuthError */
async function serverMetadata(issuer: string, fetch: OutgoingFetch): Promise<Record<string, unknown>> {
  const url = `${issuer.replace(/\/$/, "")}/.well-known/oauth-authorization-server`;
  try {
    const response = await fetch(url, { redirect: "error" });
    const value = (await response.json()) as Record<string, unknown>;
    if (response.ok && String(value["issuer"]).replace(/\/$/, "") === issuer.replace(/\/$/, "")) return value;
  } catch (cause) {
    throw new PdsAuthError(`the metadata of ${issuer} cannot be read`, { cause });
  }
  throw new PdsAuthError(`the metadata of ${issuer} is not its own`);
}
