// Opens each page on a phone in light and on a desk in dark colours; fails on any console error,
// any WCAG A or AA violation that axe finds, and any page wider than its window.
//
//   npm ci && node check.mjs [--out DIR] [--name NAME] URL...
//
// With --out, screenshots go to DIR. Exit status: 0 fine, 1 findings, 2 usage.

import { readFile, mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";
// Colours do not depend on the size, nor widths on the colours.
const SCREENS = {
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light" },
  desktop: { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
};
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

const { values, positionals: urls } = parseArgs({
  allowPositionals: true,
  options: { out: { type: "string" }, name: { type: "string" } },
});
if (urls.length === 0) {
  console.error("usage: node check.mjs [--out DIR] [--name NAME] URL...");
  process.exit(2);
}

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
if (values.out) await mkdir(values.out, { recursive: true });

/** What is wrong with one page on one screen, one line each. */
async function inspect(browser, url, [screen, { viewport, colorScheme }]) {
  const context = await browser.newContext({
    viewport, colorScheme, deviceScaleFactor: 1, bypassCSP: false, reducedMotion: "reduce",
  });
  const page = await context.newPage();
  const findings = [];
  page.on("console", (line) => line.type() === "error" && findings.push(`console: ${line.text()}`));
  page.on("pageerror", (error) => findings.push(`script: ${error.message}`));
  const answer = await page.goto(url, { waitUntil: "load" });
  if (answer.status() >= 400) findings.push(`status ${answer.status()}`);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  if (width > viewport.width) findings.push(`the page is ${width} px wide`);
  if (values.out) {
    const name = values.name ?? new URL(url).pathname.replace(/\W+/g, "_");
    const path = join(values.out, `${name}-${screen}.png`);
    await page.screenshot({ path, fullPage: true });
  }
  // Evaluated by the debugger's protocol, which the page's policy does not bind.
  await page.evaluate(axe);
  const result = await page.evaluate(
    (rules) => window.axe.run(document, { runOnly: { type: "tag", values: rules } }),
    RULES,
  );
  for (const { id, help, nodes } of result.violations) {
    for (const node of nodes.slice(0, 3)) findings.push(`${id}: ${help}: ${node.html.slice(0, 200)}`);
  }
  await context.close();
  return findings;
}

const browser = await chromium.launch({
  executablePath: BROWSER,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
let found = 0;
for (const url of urls) {
  for (const screen of Object.entries(SCREENS)) {
    for (const finding of await inspect(browser, url, screen)) {
      console.error(`${url} ${screen[0]}: ${finding}`);
      found += 1;
    }
  }
}
await browser.close();
console.log(`${urls.length} pages, ${found} findings`);
process.exit(found === 0 ? 0 : 1);
