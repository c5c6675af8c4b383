import { HttpError } from "../../core/index.ts";
import { isObject, type LexiconDocument } from "../../core/lexicons/document.ts";

export interface ScopeParts {
  /** The lexicon of a permission set. */
  lexicon(nsid: string): LexiconDocument | undefined;
  unknownSet(nsid: string): void;
}

const actions = "action=create&action=update&action=delete";

/** Every scope of a token must be one that its client was registered for (auth §1.3, scope rule). @throws HttpError 400 */
export function checkScopes(granted: readonly string[], clientScopes: string, parts: ScopeParts): void {
  if (!granted.includes("atproto")) throw new HttpError(400, "token must include the 'atproto' scope");
  const allowed = expand(clientScopes.split(/\s+/).filter(Boolean), parts);
  for (const scope of granted)
    if (scope !== "atproto" && !isAllowed(scope, allowed))
      throw new HttpError(400, `scope '${scope}' is not allowed for this client`);
}

function expand(scopes: readonly string[], { lexicon, unknownSet }: ScopeParts): Set<string> {
  const allowed = new Set(scopes);
  for (const scope of scopes) {
    const nsid = /^include:([^?]+)/.exec(scope)?.[1];
    if (nsid === undefined) continue;
    const document = lexicon(nsid);
    if (!document) unknownSet(nsid);
    else for (const each of permissionsOf(document)) allowed.add(each);
  }
  return allowed;
}

function permissionsOf(document: LexiconDocument): string[] {
  const main = isObject(document.defs) ? document.defs["main"] : undefined;
  const entries = isObject(main) && Array.isArray(main["permissions"]) ? main["permissions"] : [];
  return entries.filter(isObject).flatMap((entry) => {
    const strings = (name: string): string[] => {
      const value = entry[name];
      return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
    };
    if (entry["resource"] === "rpc") return strings("lxm").map((lxm) => `rpc:${lxm}`);
    if (entry["resource"] !== "repo") return [];
    return strings("collection").flatMap((collection) => [
      `repo:${collection}`,
      `repo:${collection}?${actions}`,
      `repo:${collection}?action=create|update|delete`,
    ]);
  });
}

/** As it was registered; or `repo?collection=A&collection=B`, in which form a PDS grants several collections. */
function isAllowed(scope: string, allowed: ReadonlySet<string>): boolean {
  if (allowed.has(scope)) return true;
  if (!scope.startsWith("repo?")) return false;
  if (allowed.has("transition:generic")) return true;
  const collections = new URLSearchParams(scope.slice("repo?".length)).getAll("collection");
  return (
    collections.length > 0 &&
    collections.every((collection) =>
      [...allowed].some((each) => each === `repo:${collection}` || each.startsWith(`repo:${collection}?`)),
    )
  );
}
