import { createSocket, type Socket } from "node:dgram";

export interface Dns extends AsyncDisposable {
  /** `127.0.0.1:<port>`, as DNS_SERVERS takes it. */
  server: string;
  /** The TXT records of a name, each one string or the several that it is split into. */
  set(name: string, ...records: (string | string[])[]): void;
  remove(name: string): void;
  /** Says that an account publishes the lexicons of a domain: `_lexicon.<domain>` TXT `did=…`. */
  setAuthority(domain: string, did: string): void;
  /** While true nothing is answered. */
  isSilent: boolean;
  /** The names that were asked for, in order, repetitions too. */
  asked: string[];
  close(): Promise<void>;
}

const txt = 16;
const noSuchName = 3;

/**
 * A DNS server on UDP that knows TXT records.
 * @example
 * await using dns = await startDns();
 * dns.setAuthority("statusphere.xyz", alice.did);
 */
export async function startDns(options: { port?: number } = {}): Promise<Dns> {
  const names = new Map<string, string[][]>();
  const socket = createSocket("udp4");
  socket.on("message", (query, { port, address }) => {
    const question = readQuestion(query);
    if (!question) return; // no query: nobody waits for an answer
    dns.asked.push(question.name);
    if (!dns.isSilent) socket.send(toAnswer(query, question, names.get(question.name)), port, address);
  });
  await bind(socket, options.port ?? 0);
  const close = (): Promise<void> => new Promise((resolve) => socket.close(() => resolve()));
  const dns: Dns = {
    server: `127.0.0.1:${socket.address().port}`,
    set(name, ...records) {
      names.set(
        name.toLowerCase(),
        records.map((record) => [record].flat()),
      );
    },
    remove: (name) => void names.delete(name.toLowerCase()),
    setAuthority: (domain, did) => dns.set(`_lexicon.${domain}`, `did=${did}`),
    isSilent: false,
    asked: [],
    close,
    [Symbol.asyncDispose]: close,
  };
  return dns;
}

interface Question {
  name: string;
  type: number;
  /** Where it ends in the query. */
  end: number;
}

/** The first question of a query (RFC 1035 §4.1); names in questions are never compressed. */
function readQuestion(query: Buffer): Question | undefined {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at]; length !== undefined && length > 0; length = query[at]) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  const end = at + 5;
  if (end > query.length) return undefined;
  return { name: labels.join(".").toLowerCase(), type: query.readUInt16BE(at + 1), end };
}

function toAnswer(query: Buffer, { type, end }: Question, known: string[][] | undefined): Buffer {
  const records = type === txt ? (known ?? []) : [];
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2); // its id
  header.writeUInt16BE(0x8580 | (known ? 0 : noSuchName), 2); // an answer, with authority
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, query.subarray(12, end), ...records.map(toRecord)]);
}

function toRecord(strings: string[]): Buffer {
  const data = Buffer.concat(
    strings.map((text) => {
      const bytes = Buffer.from(text).subarray(0, 255); // one byte holds the length
      return Buffer.concat([Buffer.from([bytes.length]), bytes]);
    }),
  );
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0); // the name of the question
  head.writeUInt16BE(txt, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(60, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function bind(socket: Socket, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", (cause) =>
      reject(new Error(`[network] cannot listen on UDP port ${port}`, { cause })),
    );
    socket.bind(port, "127.0.0.1", resolve);
  });
}
