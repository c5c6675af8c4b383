import type { HttpRequest } from "../../core/http/request.ts";

export interface CookieParts {
  /** Whether browsers reach us by https. */
  isSecure: boolean;
  path: string;
}

/** What every cookie of ours says; a name, a value and a lifetime come with each. */
export function cookieAttributes({ isSecure, path }: CookieParts): string {
  return `Path=${path || "/"}; HttpOnly; SameSite=Lax${isSecure ? "; Secure" : ""}`;
}

export function cookieOf({ headers }: HttpRequest, name: string): string | undefined {
  const pair = (headers.get("cookie") ?? "")
    .split(";")
    .map((part) => part.trim())
    .find((part) => part.startsWith(`${name}=`));
  return pair?.slice(name.length + 1);
}
