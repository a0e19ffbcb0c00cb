// One headless Chromium, told what to do by lines of JSON on stdin; each is answered by one line on stdout.
//   {"id": 1, "command": "goto", "page": 1, "url": "..."}  ->  {"id": 1, "result": ...} or {"id": 1, "error": "..."}
// The commands are the methods of `commands` below; browser.py gives them Python names.
//
// The browser comes from npm (@sparticuz/chromium), the libraries and fonts that it needs are inside the package, so that nothing has to be
// installed by hand. It is unpacked once, beside node_modules. Flags:
//   --no-sandbox              Chromium refuses to start as root with its sandbox; the pages shown here are our own
//   --no-zygote               goes with it: the zygote only serves the sandbox
//   --disable-dev-shm-usage   /dev/shm is tiny in containers
//   --disable-gpu             charts here draw on a 2D canvas
//   --font-render-hinting=none  the same glyphs everywhere
// The package's own list of flags is not used: it turns web security off and puts everything in one process.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const FLAGS = ["--no-sandbox", "--no-zygote", "--disable-dev-shm-usage", "--disable-gpu", "--font-render-hinting=none"];
const WAIT_MS = 10_000;
const here = dirname(fileURLToPath(import.meta.url));
const unpacked = join(here, "node_modules", ".chromium");

/** Path of the browser; unpacks it first if that has not been done. Safe when two processes do it at once. */
async function chromiumPath() {
  if (!existsSync(unpacked)) {
    const own = `${unpacked}-${process.pid}`;
    mkdirSync(own, { recursive: true });
    const { TMPDIR } = process.env;
    process.env.TMPDIR = own; // where the package unpacks to
    process.env.AWS_LAMBDA_JS_RUNTIME = "nodejs24.x"; // makes it unpack its shared libraries too
    const { default: packed } = await import("@sparticuz/chromium");
    await packed.executablePath();
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
    // The package's own list names folders of the service that it was made for.
    const folders = `<dir>${join(unpacked, "fonts")}</dir><cachedir>${join(unpacked, "fonts-cache")}</cachedir>`;
    writeFileSync(join(own, "fonts", "fonts.conf"), `<?xml version="1.0"?><fontconfig>${folders}</fontconfig>`);
    try {
      renameSync(own, unpacked);
    } catch {
      rmSync(own, { recursive: true, force: true }); // another process was first
    }
  }
  return join(unpacked, "chromium");
}

const { chromium } = await import("playwright-core");
const browser = await chromium.launch({
  executablePath: await chromiumPath(),
  args: FLAGS,
  env: {
    ...process.env,
    LD_LIBRARY_PATH: [join(unpacked, "al2023", "lib"), process.env.LD_LIBRARY_PATH].filter(Boolean).join(":"),
    FONTCONFIG_PATH: join(unpacked, "fonts"),
  },
});
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const pages = new Map();

const commands = {
  version: async () => browser.version(),

  /** A page in a context of its own: no cookies or storage of another test. */
  open: async ({ page, scheme, width, height }) => {
    const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height }, reducedMotion: "reduce" });
    context.setDefaultTimeout(WAIT_MS);
    const opened = { page: await context.newPage(), context, requests: [], errors: [] };
    opened.page.on("request", (request) => opened.requests.push(request.url()));
    opened.page.on("pageerror", (error) => opened.errors.push(String(error)));
    opened.page.on("console", (message) => {
      if (message.type() === "error") opened.errors.push(message.text());
    });
    pages.set(page, opened);
  },
  close: async ({ context }) => context.close(),

  goto: async ({ page }, { url }) => (await page.goto(url))?.status() ?? null,
  url: async ({ page }) => page.url(),
  title: async ({ page }) => page.title(),
  eval: async ({ page }, { script }) => page.evaluate(script),
  click: async ({ page }, { selector }) => page.click(selector),
  fill: async ({ page }, { selector, value }) => page.fill(selector, value),
  press: async ({ page }, { key }) => page.keyboard.press(key),
  wait: async ({ page }, { selector, state }) => void (await page.waitForSelector(selector, { state })),
  text: async ({ page }, { selector }) => page.locator(selector).first().innerText(),
  texts: async ({ page }, { selector }) => page.locator(selector).allInnerTexts(),
  count: async ({ page }, { selector }) => page.locator(selector).count(),
  quiet: async ({ page }) => page.waitForLoadState("networkidle"),
  scheme: async ({ page }, { scheme }) => page.emulateMedia({ colorScheme: scheme }),
  viewport: async ({ page }, { width, height }) => page.setViewportSize({ width, height }),
  screenshot: async ({ page }, { path, whole }) => void (await page.screenshot({ path, fullPage: whole })),

  /** Violations of WCAG 2.2 A and AA that a machine can find. */
  axe: async ({ page }) => {
    await page.evaluate(axe);
    return page.evaluate(async () => {
      const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
      const { violations } = await window.axe.run(document, { runOnly: { type: "tag", values: tags } });
      return violations.map(({ id, impact, help, nodes }) => ({ id, impact, help, nodes: nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`) }));
    });
  },
  requests: async ({ requests }) => requests,
  errors: async ({ errors }) => errors,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...rest } = JSON.parse(line);
  let answer;
  try {
    const run = commands[command];
    if (run === undefined) throw new Error(`unknown command '${command}'`);
    const result = command === "open" || command === "version" ? await run(rest) : await run(pages.get(rest.page), rest);
    if (command === "close") pages.delete(rest.page);
    answer = { id, result: result ?? null };
  } catch (error) {
    answer = { id, error: String(error?.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
process.exit(0);
