// node --experimental-websocket firefox.mjs FIREFOX PROFILE ADDRESS CALL [FUNCTION]: what a Firefox without a window makes of a
// viewer. It visits every tab, then a call, or calls the function with it, and prints one JSON object.
import { started } from "./bidi.mjs";

const [firefox, profile, address, call, given] = process.argv.slice(2);

// In the page: every tab with all that can be opened; how long the recording of the call is.
async function visit(call) {
  const wait = async (ready) => {
    for (let tries = 0; !ready() && tries < 200; tries += 1) await new Promise((resolve) => setTimeout(resolve, 25));
  };
  const tabs = [];
  for (const { id } of document.querySelectorAll("[role=tab]")) {
    document.getElementById(id).click();
    await wait(() => document.getElementById(id).getAttribute("aria-selected") === "true");
    document.querySelectorAll("details").forEach((each) => { each.open = true; });
    [...document.querySelectorAll(".opener")].slice(0, 10).forEach((each) => each.click());
    tabs.push(document.querySelector("main h2").textContent);
  }
  location.hash = `#calls/${call}`;
  await wait(() => document.querySelector(".talk audio")?.readyState > 0);
  return JSON.stringify({ tabs, seconds: document.querySelector(".talk audio")?.duration, pwned: window.pwned ?? null });
}

const browser = await started(firefox, profile, 90);
const seen = await browser.visit(address, given ?? visit, call);
console.log(JSON.stringify({ ...seen, faults: browser.faults, requests: browser.requests }));
await browser.end();
