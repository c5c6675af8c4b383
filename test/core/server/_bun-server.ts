import { HttpError, json } from "../../../core/index.ts";
import { errorReply } from "../../../core/http/reply.ts";
import { serveBun } from "../../../core/server/bun.ts";
import { isHttpError } from "../../../core/errors.ts";

/** In Bun: answers what it sees of a request; `?max=` bounds its body. Says on standard output where it listens. */
const server = serveBun(
  {
    async handle(request) {
      const max = /max=(\d+)/.exec(request.url)?.[1];
      try {
        const body = await request.arrayBuffer(max === undefined ? undefined : Number(max));
        return json({ size: body.byteLength, from: request.remoteAddress });
      } catch (error) {
        return errorReply(isHttpError(error) ? error : new HttpError(500, String(error)));
      }
    },
  },
  { host: "127.0.0.1", port: 0 },
);
process.stdout.write(`${server.url.origin}\n`);
