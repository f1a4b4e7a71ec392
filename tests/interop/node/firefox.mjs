// node --experimental-websocket firefox.mjs FIREFOX PROFILE ADDRESS CALL [FUNCTION]: what a Firefox without a window makes of a
// viewer. It visits every tab, then a call, or calls the function with it, by WebDriver BiDi (W3C), and prints one JSON
// object. Its files are strangers to each other, as for every reader: programs that start Firefox switch that off.
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [firefox, profile, address, call, given] = process.argv.slice(2);
writeFileSync(`${profile}/user.js`, 'user_pref("security.fileuri.strict_origin_policy", true);\n');

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

const browser = spawn(firefox, ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"], {
  stdio: ["ignore", "ignore", "pipe"],
});
const timer = setTimeout(() => browser.kill("SIGKILL"), 90_000);
browser.on("exit", (code) => process.exit(code ?? 1));

async function listening() {
  for await (const line of createInterface({ input: browser.stderr })) {
    const found = /WebDriver BiDi listening on (ws:\S+)/.exec(line);
    if (found) return found[1];
  }
  throw new Error("Firefox ended before it listened");
}

const socket = new WebSocket(`${await listening()}/session`);
await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
browser.stderr.resume();
const waiting = new Map();
const [faults, requests] = [[], []];
let last = 0;
socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (message.id !== undefined) waiting.get(message.id)(message);
  else if (message.method === "log.entryAdded") faults.push(message.params.text);
  else if (message.method === "network.beforeRequestSent") requests.push(message.params.request.url);
  else if (message.method === "browsingContext.userPromptOpened") faults.push(`dialog: ${message.params.message}`);
};

async function ask(method, params) {
  const id = (last += 1);
  const answer = new Promise((resolve) => waiting.set(id, resolve));
  socket.send(JSON.stringify({ id, method, params }));
  const { result, message, error } = await answer;
  if (error) throw new Error(`${method}: ${error}: ${message}`);
  return result;
}

await ask("session.new", { capabilities: {} });
await ask("session.subscribe", {
  events: ["log.entryAdded", "network.beforeRequestSent", "browsingContext.userPromptOpened"],
});
const { context } = await ask("browsingContext.create", { type: "tab" });
await ask("browsingContext.navigate", { context, url: address, wait: "complete" });
const visited = await ask("script.evaluate", {
  expression: `(${given ?? visit})(${JSON.stringify(call)})`, target: { context }, awaitPromise: true,
});
if (visited.type !== "success") throw new Error(visited.exceptionDetails.text);
console.log(JSON.stringify({ ...JSON.parse(visited.result.value), faults, requests }));
await ask("session.end", {});
clearTimeout(timer);
browser.removeAllListeners("exit");
browser.kill();
process.exit(0);
