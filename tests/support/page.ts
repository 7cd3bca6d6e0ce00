import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, chromium, type Page } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Debian's Chromium; close it after. */
export async function startBrowser(): Promise<Browser> {
  return await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
}

/** Show a page as somebody would see it who got it by mail: a request to the network is an error. */
export async function openPage(
  browser: Browser,
  html: string,
  { width, ...look }: { colorScheme: "light" | "dark"; width: number },
): Promise<AsyncDisposable & { page: Page; errors: string[] }> {
  const context = await browser.newContext({
    ...look,
    viewport: { width, height: 900 },
    bypassCSP: true,
  });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("request", (request) => request.url().startsWith("http") && errors.push(request.url()));
  await page.setContent(html);
  return { page, errors, [Symbol.asyncDispose]: () => context.close() };
}

/** Rules of axe that the page breaks, each with the element. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return await page.evaluate(
    "axe.run().then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id} ${node.html.slice(0, 120)}`)))",
  ) as string[];
}
