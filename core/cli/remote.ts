import { HappyViewError } from "../errors.ts";
import { refusedAnswer } from "../http/answer.ts";
import type { Config } from "../config/resolve.ts";
import { publicUrl } from "../config/resolve.ts";

/** A running server, by its admin API. */
export interface RemoteServer {
  readonly url: string;
  /** @throws HappyViewError SERVER_REFUSED, SERVER_UNREACHABLE */
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body?: unknown): Promise<T>;
  /** The data of server-sent events, until the server ends them or the signal aborts. */
  events<T>(path: string, signal: AbortSignal): AsyncGenerator<T>;
}

/** The server of `--url`, else the config's; the key is that of the environment. */
export function remoteServer(config: Config, url: string | undefined): RemoteServer {
  const base = `${(url ?? publicUrl(config)).replace(/\/+$/, "")}/admin`;
  if (config.adminKey === undefined)
    throw new HappyViewError("CONFIG_INVALID", {
      message: "HAPPYVIEW_ADMIN_KEY is not set",
      hint: "give the server and this command the same key, for example hv_$(openssl rand -hex 16)",
    });
  const authorization = `Bearer ${config.adminKey}`;
  const ask = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = {
      authorization,
      ...(init.body === undefined ? {} : { "content-type": "application/json" }),
    };
    const response = await fetch(base + path, { ...init, headers }).catch((cause: unknown) => {
      if (init.signal?.aborted) throw cause;
      throw new HappyViewError("SERVER_UNREACHABLE", {
        message: `no server answers at ${base}`,
        hint: "start it, or name it with --url",
        cause,
      });
    });
    if (response.ok) return response;
    const cause = await refusedAnswer(base + path, response, Date.now());
    throw new HappyViewError("SERVER_REFUSED", {
      message: cause.error === "" ? cause.message : cause.error,
      hint:
        response.status === 401
          ? "HAPPYVIEW_ADMIN_KEY is not the server's"
          : `the server answered ${response.status}`,
    });
  };
  // What the admin API answers is its contract; the caller names the type.
  const json = async <T>(response: Response): Promise<T> => (await response.json()) as T;
  return {
    url: base,
    get: async (path) => json(await ask(path)),
    post: async (path, body) =>
      json(
        await ask(path, { method: "POST", ...(body === undefined ? {} : { body: JSON.stringify(body) }) }),
      ),
    async *events<T>(path: string, signal: AbortSignal) {
      const response = await ask(path, { signal });
      let rest = "";
      const decoder = new TextDecoder();
      for await (const chunk of response.body ?? []) {
        const blocks = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
        rest = blocks.pop() ?? "";
        for (const block of blocks) {
          const data = block.split("\n").find((line) => line.startsWith("data: "));
          if (data) yield JSON.parse(data.slice("data: ".length)) as T;
        }
      }
    },
  };
}
