import { expect, test } from "vitest";
import { createBrowsers } from "../../../plugins/oauth/browsers.ts";

const request = (cookie?: string): Request =>
  new Request("https://hv.example/auth/login", cookie === undefined ? {} : { headers: { cookie } });

test("the nonce of a browser goes by https alone where we have it, to our pages alone, and not for long", () => {
  const browsers = createBrowsers({ isSecure: true, path: "/hv", lifetimeMs: 60_000 });
  const { cookie, hash } = browsers.mark(request());
  expect(cookie).toMatch(
    /^happyview_login=[\w-]{43}; Path=\/hv; HttpOnly; SameSite=Lax; Secure; Max-Age=60$/,
  );
  const [pair = ""] = cookie.split(";", 1);
  expect(hash).not.toContain(pair.slice("happyview_login=".length));
  expect(browsers.isSame(request(pair), hash)).toBe(true);
  expect(browsers.isSame(request(pair), "")).toBe(false);
  expect(browsers.isSame(request(), hash)).toBe(false);
});

test("two browsers have two nonces, and one that somebody made up is not taken over", () => {
  const browsers = createBrowsers({ isSecure: false, path: "", lifetimeMs: 60_000 });
  const first = browsers.mark(request());
  expect(browsers.mark(request()).hash).not.toBe(first.hash);
  expect(browsers.mark(request("happyview_login=a; Domain=x")).cookie).toMatch(
    /^happyview_login=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=60$/,
  );
});
