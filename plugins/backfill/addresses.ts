import { documentUrl } from "../../core/identity/did-document.ts";
import type { PluginApp } from "../../core/index.ts";
import { unlessAborted } from "./abort.ts";
import { blamesHost, toFailure, type Failure } from "./failure.ts";
import { createHosts, HostUnavailable } from "./hosts.ts";
import type { Unit } from "./unit.ts";

/** Where accounts live. */
export interface Addresses {
  /** The PDS of an account. @throws HostUnavailable while the directory of everybody is away */
  lookUp(did: string): Promise<string>;
  /**
   * Whether an account that could not be fetched has another PDS than the one that was asked, which it gets: what is
   * known of an account is up to an hour old, and a host that it has left knows nothing of it.
   */
  hasMoved(unit: Unit, failure: Failure): Promise<boolean>;
  /** Whoever tries these accounts again asks the directory: they may have left a host that is down. */
  forget(dids: readonly string[]): Promise<void>;
}

export interface AddressesParts {
  app: Pick<PluginApp, "identity" | "config" | "clock">;
  /** Look-ups at once. */
  resolution: number;
  coolDownMs: number;
  signal: AbortSignal;
  resolved(did: string, pds: string): void;
}

/** A directory that is away holds up everybody; giving up on it soon would fail every unit. */
const directoryDownAfter = 20;

export function createAddresses({
  app,
  resolution,
  coolDownMs,
  signal,
  resolved,
}: AddressesParts): Addresses {
  const { identity, config, clock } = app;
  const directories = createHosts({
    total: resolution,
    perHost: resolution,
    coolDownMs,
    downAfter: directoryDownAfter,
    now: clock.now,
  });

  async function lookUp(did: string): Promise<string> {
    const directory = new URL(documentUrl(did, config.network.plcUrl)).origin;
    const endpoint = await directories
      .request(directory, signal, () => unlessAborted(signal, identity.pds(did)))
      .catch((error: unknown) => {
        const failure = toFailure(error);
        // Everybody waits for the one directory; that it is away is nobody's attempt.
        const isAway = did.startsWith("did:plc:") && blamesHost(failure) && !signal.aborted;
        throw isAway
          ? new HostUnavailable(directory, clock.now() + (failure.waitMs ?? 2 * coolDownMs), failure)
          : error;
      });
    resolved(did, endpoint);
    return endpoint;
  }

  async function forget(dids: readonly string[]): Promise<void> {
    for (const did of dids) await identity.forget(did);
  }

  return {
    lookUp,
    forget,
    async hasMoved(unit, { kind }) {
      await forget([unit.did]);
      if (kind !== "repo_not_found" && kind !== "repo_deactivated") return false;
      const pds = await lookUp(unit.did).catch(() => unit.pdsEndpoint);
      if (pds === unit.pdsEndpoint) return false;
      unit.pdsEndpoint = pds;
      return true;
    },
  };
}
