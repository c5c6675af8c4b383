import { request as httpRequest } from "node:http";

interface Answer {
  status: number;
  location: string | undefined;
  body: string;
}

/**
 * Signs in on the PDS's own page and consents, as a browser would: with its cookies and fetch metadata, which the
 * built-in fetch would set to its own. Returns the query with which the PDS sends the user back.
 */
export async function signIn(
  authorizeUrl: string,
  user: {
    name: string;
    password: string;
    /** The scopes to which the user consents. @default all that the app asks for */
    consents?: string | undefined;
    /** Where the PDS listens, when that is not where it says that it is. */
    at?: string;
  },
): Promise<string> {
  const { origin } = new URL(authorizeUrl);
  const cookies = new Map<string, string>();
  const navigate = {
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
    accept: "text/html",
  };
  const ask = (url: string, headers: Record<string, string>, body?: unknown): Promise<Answer> =>
    send(
      url.replace(origin, user.at ?? origin),
      { ...headers, referer: authorizeUrl },
      cookies,
      body === undefined ? undefined : JSON.stringify(body),
    );
  await ask(authorizeUrl, { ...navigate, "sec-fetch-site": "cross-site" });
  const api = async (name: string, body: unknown, bearer?: string): Promise<Record<string, unknown>> => {
    const answer = await ask(
      `${origin}/@atproto/oauth-provider/~api/${name}`,
      {
        "content-type": "application/json",
        "sec-fetch-mode": "same-origin",
        "sec-fetch-site": "same-origin",
        "sec-fetch-dest": "empty",
        origin,
        "x-csrf-token": cookies.get("csrf-token") ?? "",
        ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      },
      body,
    );
    if (answer.status !== 200) throw new Error(`${name}: ${answer.status} ${answer.body}`);
    return JSON.parse(answer.body) as Record<string, unknown>;
  };
  const signedIn = await api("sign-in", {
    locale: "en",
    username: user.name,
    password: user.password,
    remember: false,
  });
  // The account is named `sub` by the versions up to 0.4, `did` by later ones.
  const { did, sub } = signedIn["account"] as { did?: string; sub?: string };
  const bearer = String(signedIn["ephemeralToken"] ?? "");
  const scope = user.consents === undefined ? {} : { scope: user.consents };
  const consent = await api("consent", { ...(sub === undefined ? { did } : { sub }), ...scope }, bearer);
  const back = await ask(String(consent["url"]), { ...navigate, "sec-fetch-site": "same-origin" });
  if (back.location === undefined) throw new Error(`no way back from the PDS: ${back.status} ${back.body}`);
  return new URL(back.location).search;
}

function send(
  url: string,
  headers: Record<string, string>,
  cookies: Map<string, string>,
  body: string | undefined,
): Promise<Answer> {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      url,
      { method: body === undefined ? "GET" : "POST", headers: { ...headers, ...(cookie ? { cookie } : {}) } },
      (response) => {
        for (const line of response.headers["set-cookie"] ?? []) {
          const [pair = ""] = line.split(";", 1);
          const at = pair.indexOf("=");
          cookies.set(pair.slice(0, at), pair.slice(at + 1));
        }
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, location: response.headers.location, body: text }),
        );
      },
    );
    request.on("error", reject).end(body);
  });
}
