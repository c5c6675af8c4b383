import { parseArgs } from "node:util";
import { createNetwork } from "./network.ts";
import { startStatusphere } from "./statusphere.ts";

const { values } = parseArgs({
  options: {
    accounts: { type: "string", default: "5" },
    rate: { type: "string", default: "2" },
    hosts: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    port: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  process.stdout.write(
    "node playground/network/main.ts [--accounts 5] [--rate 2] [--hosts 1] [--seed 1] [--port <first>]\n",
  );
} else {
  await run();
}

async function run(): Promise<void> {
  const network = await createNetwork({
    seed: values.seed,
    hosts: Number(values.hosts),
    now: Date.now,
    ...(values.port === undefined ? {} : { port: Number(values.port) }),
  });
  const people = await startStatusphere(network, {
    accounts: Number(values.accounts),
    rate: Number(values.rate),
  });
  const hosts = network.pds.map(({ url }, index) => `PDS ${index}      ${url}`);
  const accounts = people.accounts.map(({ did, handle }) => `${did}  ${handle}`);
  process.stdout.write(
    `${[
      `PLC        ${network.plcUrl}`,
      `relay      ${network.relayUrl}`,
      `Jetstream  ${network.jetstreamUrl}/subscribe`,
      ...hosts,
      "",
      ...accounts,
    ].join("\n")}\n`,
  );
  const stop = async (): Promise<void> => {
    await people.stop();
    await network.close();
  };
  process.once("SIGINT", () => void stop());
  process.once("SIGTERM", () => void stop());
}
