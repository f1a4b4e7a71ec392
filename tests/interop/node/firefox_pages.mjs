// node --experimental-websocket firefox_pages.mjs FIREFOX PROFILE PAGES FUNCTION: what a Firefox without a window, of 320 pixels,
// makes of pages that are served. PAGES is a file: a list of {url, cookies}. For each it prints what the function returns.
import { readFileSync } from "node:fs";
import { started } from "./bidi.mjs";

const [firefox, profile, pages, look] = process.argv.slice(2);
const browser = await started(firefox, profile, 240);
const { ask } = browser;
const { context } = await ask("browsingContext.create", { type: "tab" });
await ask("browsingContext.setViewport", { context, viewport: { width: 320, height: 640 } });
const seen = [];
for (const { url, cookies } of JSON.parse(readFileSync(pages, "utf8"))) {
  await ask("storage.deleteCookies", {});
  for (const [name, value] of Object.entries(cookies)) {
    const cookie = { name, value: { type: "string", value }, domain: new URL(url).hostname };
    await ask("storage.setCookie", { cookie });
  }
  await ask("browsingContext.navigate", { context, url, wait: "complete" });
  const { type, result, exceptionDetails } = await ask("script.evaluate", {
    expression: `(${look})()`, target: { context }, awaitPromise: true,
  });
  if (type !== "success") throw new Error(exceptionDetails.text);
  seen.push([url, JSON.parse(result.value)]);
}
console.log(JSON.stringify({ seen, faults: browser.faults }));
await browser.end();
