// A Firefox without a window, by WebDriver BiDi (W3C). Its files are strangers to each other, as for every reader:
// programs that start Firefox switch that off.
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

async function listening(browser) {
  for await (const line of createInterface({ input: browser.stderr })) {
    const found = /WebDriver BiDi listening on (ws:\S+)/.exec(line);
    if (found) return found[1];
  }
  throw new Error("Firefox ended before it listened");
}

// Start Firefox; it is killed after `seconds`. The program ends with it.
export async function started(firefox, profile, seconds) {
  writeFileSync(`${profile}/user.js`, 'user_pref("security.fileuri.strict_origin_policy", true);\n');
  const browser = spawn(firefox, ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const timer = setTimeout(() => browser.kill("SIGKILL"), seconds * 1000);
  browser.on("exit", (code) => process.exit(code ?? 1));
  const socket = new WebSocket(`${await listening(browser)}/session`);
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

  // Open an address in a new tab, and return what a function in the page returns for an argument, as JSON.
  async function visit(address, called, argument) {
    const { context } = await ask("browsingContext.create", { type: "tab" });
    await ask("browsingContext.navigate", { context, url: address, wait: "complete" });
    const { type, result, exceptionDetails } = await ask("script.evaluate", {
      expression: `(${called})(${JSON.stringify(argument)})`, target: { context }, awaitPromise: true,
    });
    if (type !== "success") throw new Error(exceptionDetails.text);
    await ask("browsingContext.close", { context });
    return JSON.parse(result.value);
  }

  async function end() {
    await ask("session.end", {});
    clearTimeout(timer);
    browser.removeAllListeners("exit");
    browser.kill();
    process.exit(0);
  }

  return { ask, visit, end, faults, requests };
}
