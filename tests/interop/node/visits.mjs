// node --experimental-websocket visits.mjs FIREFOX PROFILE: visits in a Firefox without a window. Each line of the input is
// `{address, called, argument, before}`: `before` is a script that runs in the tab before those of the page. Each line of
// the output is what the function `called` returned.
import { createInterface } from "node:readline";
import { started } from "./bidi.mjs";

const [firefox, profile] = process.argv.slice(2);
const browser = await started(firefox, profile, 900);
for await (const line of createInterface({ input: process.stdin })) {
  const { address, called, argument, before } = JSON.parse(line);
  const { script } = await browser.ask("script.addPreloadScript", { functionDeclaration: before });
  console.log(JSON.stringify(await browser.visit(address, called, argument)));
  await browser.ask("script.removePreloadScript", { script });
}
await browser.end();
