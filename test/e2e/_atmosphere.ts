import { AtpAgent } from "@atproto/api";
import { mockNetworkUtilities, TestPds, TestPlc } from "@atproto/dev-env";

/** Of every account. */
export const password = "correct horse battery staple";

/** The published PDS and PLC directory, none of it ours. */
export interface Atmosphere {
  plc: TestPlc;
  pds: TestPds;
  /** By name: `alice` is `alice.test`. */
  dids: Readonly<Record<string, string>>;
  account(name: string): Promise<AtpAgent & { did: string }>;
  close(): Promise<void>;
}

export async function startAtmosphere(...names: string[]): Promise<Atmosphere> {
  const plc = await TestPlc.create({});
  const pds = await TestPds.create({ didPlcUrl: plc.url });
  mockNetworkUtilities(pds);
  return withAccounts(plc, pds, names);
}

/** The PDS says that it is at `https://<hostname>`, whoever leads there. */
export async function startPublicAtmosphere(hostname: string, ...names: string[]): Promise<Atmosphere> {
  const plc = await TestPlc.create({});
  const pds = await TestPds.create({ didPlcUrl: plc.url, hostname });
  return withAccounts(plc, pds, names);
}

async function withAccounts(plc: TestPlc, pds: TestPds, names: readonly string[]): Promise<Atmosphere> {
  const dids: Record<string, string> = {};
  const account: Atmosphere["account"] = async (name) => {
    const agent = new AtpAgent({ service: pds.url });
    await agent.createAccount({ handle: `${name}.test`, email: `${name}@example.com`, password });
    dids[name] = agent.did ?? "";
    return agent as AtpAgent & { did: string }; // createAccount has set it
  };
  for (const name of names) await account(name);
  return {
    plc,
    pds,
    dids,
    account,
    async close() {
      await pds.close();
      await plc.close();
    },
  };
}
