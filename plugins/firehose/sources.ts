import type { Config } from "../../core/index.ts";
import { HappyViewError } from "../../core/index.ts";
import type { VerifyLevel } from "./intake.ts";

/** Kinds of streams that are read from a position; a stored position is named `<kind>:<host>`. */
export const streamKinds = ["jetstream", "jetstream-v2", "relay"] as const;

export type StreamKind = (typeof streamKinds)[number];

/** One of several sources, in order of preference. */
export interface SourceOption {
  kind: StreamKind;
  /** @default `network.jetstreamUrl` or `network.relayUrl` of the config */
  url?: string;
}

export interface ResolvedSource {
  kind: StreamKind;
  url: string;
}

/** None for a Tap, which keeps the position itself. @throws HappyViewError CONFIG_INVALID */
export function resolveSources(
  options: { source?: StreamKind | "tap"; url?: string; sources?: readonly SourceOption[] },
  network: Config["network"],
): ResolvedSource[] {
  const { source = "jetstream", url, sources } = options;
  if (sources && (options.source !== undefined || url !== undefined))
    throw invalid("firehose has both `sources` and `source` or `url`", "name all of them in `sources`");
  if (source === "tap") {
    if (url !== undefined && !isUrl(url, /^https?:$/))
      throw invalid("the address of the tap is no http: or https: URL", "correct `url` of firehose");
    return [];
  }
  if (sources?.length === 0)
    throw invalid("`sources` of firehose is empty", 'leave it out, or name one: [{ kind: "jetstream" }]');
  const resolved = (sources ?? [{ kind: source, ...(url === undefined ? {} : { url }) }]).map((one) => ({
    kind: one.kind,
    url: one.url ?? (one.kind === "relay" ? network.relayUrl : network.jetstreamUrl),
  }));
  for (const { kind, url: address } of resolved) {
    if (!streamKinds.includes(kind))
      throw invalid(`firehose knows no source "${String(kind)}"`, `use one of ${streamKinds.join(", ")}`);
    if (!isUrl(address, /^(ws|http)s?:$/))
      throw invalid(
        `the address of the ${kind} is no ws:, wss:, http: or https: URL`,
        "correct `url` of firehose",
      );
  }
  const names = new Set(resolved.map((one) => `${one.kind}:${new URL(one.url).host}`));
  if (names.size < resolved.length)
    throw invalid("two sources of firehose are one", "a source that fails is no substitute for itself");
  return resolved;
}

/** @throws HappyViewError CONFIG_INVALID */
export function checkVerification(verify: VerifyLevel, sampleShare: number, kinds: readonly string[]): void {
  if (verify === "full" && kinds.some((kind) => kind !== "relay"))
    throw invalid(
      `verify: "full" is not possible with ${kinds.find((kind) => kind !== "relay")}, which carries no signatures`,
      'use source: "relay", or verify: "sampled" with a sampleShare of up to 1',
    );
  if (!(sampleShare >= 0 && sampleShare <= 1))
    throw invalid(`sampleShare is ${sampleShare}`, "it is a share of all records, from 0 to 1");
}

function isUrl(text: string, scheme: RegExp): boolean {
  return URL.canParse(text) && scheme.test(new URL(text).protocol);
}

function invalid(message: string, hint: string): HappyViewError {
  return new HappyViewError("CONFIG_INVALID", { message, hint });
}
