import chromium from "@sparticuz/chromium";
import { launch, type Browser, type BrowserContext, type Page } from "puppeteer-core";

/** Whether the package has a Chromium for this machine. */
export const hasChromium = process.platform === "linux" && process.arch === "x64";

/** With everything that a browser protects: the package's own flags turn the same-origin policy off. */
export async function openBrowser(): Promise<Browser> {
  return launch({
    executablePath: await chromium.executablePath(),
    headless: "shell",
    args: ["--no-sandbox", "--disable-gpu"],
  });
}

/** An app open in a browser profile of its own. */
export interface Device {
  did(): Promise<string | null>;
  /** By the PDS's own page, as a person does it. */
  signIn(did: string, password: string): Promise<void>;
  call(path: string, body?: object): Promise<{ status: number; body: unknown }>;
  signOut(): Promise<void>;
  reload(): Promise<void>;
  /** Names of what it keeps in its storage. */
  stored(): Promise<string[]>;
  close(): Promise<void>;
}

export async function openDevice(browser: Browser, url: string): Promise<Device> {
  const context: BrowserContext = await browser.createBrowserContext();
  const page = await context.newPage();
  const ready = (): Promise<unknown> => page.waitForFunction("globalThis.app !== undefined");
  await page.goto(url);
  await ready();
  const run = async (code: string): Promise<unknown> => page.evaluate(code);
  const failed = new Promise<never>((_, reject) => page.on("pageerror", reject));
  failed.catch(() => {}); // told where something is waited for
  return {
    did: async () => (await run("app.did()")) as string | null,
    async signIn(did, password) {
      const asked = page.waitForNavigation();
      await run(`void app.signIn(${JSON.stringify(did)})`);
      await Promise.race([asked, failed]);
      await page.locator("input[name=password]").fill(password);
      await press(page, "Sign in");
      await press(page, "Authorize");
      await page.waitForFunction(`location.href.startsWith(${JSON.stringify(new URL(url).origin)})`);
      await ready();
    },
    async call(path, body) {
      const args = [path, ...(body === undefined ? [] : [body])].map((part) => JSON.stringify(part));
      return (await run(`app.call(${args.join(", ")})`)) as { status: number; body: unknown };
    },
    signOut: async () => void (await run("app.signOut()")),
    async reload() {
      await page.reload();
      await ready();
    },
    stored: async () => (await run("Object.keys(localStorage)")) as string[],
    close: () => context.close(),
  };
}

async function press(page: Page, text: string): Promise<void> {
  await page.locator(`button[type=submit] ::-p-text(${text})`).click();
}
