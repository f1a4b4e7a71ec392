// A receiver of transfers: `node receiver.mjs config.json`. README.md describes the configuration.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { Damaged, WrongKey, decrypted, identities } from "./lib/age.mjs";
import { Unavailable } from "./lib/faults.mjs";
import { Client, bodyOf } from "./lib/http.mjs";
import { now, sign } from "./lib/jose.mjs";
import { receive } from "./lib/transfer.mjs";
import { verified } from "./lib/webhook.mjs";

const WEBHOOK_BYTES = 16 * 1024;
const ATTEMPTS = 8;
const PAUSE_MS = 1000;
const KINDS = ["withdrawn", "expired", "rectified", "erased"];
const DAY = 86_400;
const JOSE = { "content-type": "application/jose" };

/** Read the configuration, with the keys that it names. */
export async function configured(path) {
  const config = JSON.parse(await readFile(path, "utf8"));
  config.identities = identities(await readFile(config.identity, "utf8"));
  config.receiptKey = JSON.parse(await readFile(config.receipt_key, "utf8"));
  return config;
}

/** A receiver: `handle` answers requests, and transfers are received one after the other. */
export class Receiver {
  constructor(config) {
    this.config = config;
    this.client = new Client(config.allow_loopback === true);
    this.known = new Set();
    this.queue = Promise.resolve();
  }

  async handle(request, response) {
    const answer = await this.#answer(request).catch((error) => ({ status: error instanceof Unavailable ? 413 : 500, error }));
    if (answer.error) log("request.failed", { error: answer.error.message });
    response.writeHead(answer.status, answer.headers ?? {});
    response.end(answer.body ?? "");
  }

  async #answer(request) {
    const { kid, kty, crv, x, y } = this.config.receiptKey;
    if (request.method === "GET" && request.url === "/.well-known/jwks.json") {
      const keys = [{ kid, kty, crv, x, y, use: "sig", alg: "ES256" }];
      return { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify({ keys }) };
    }
    if (request.method === "GET" && request.url === "/.well-known/portability") return { status: 200, headers: JOSE, body: this.#document() };
    if (request.method === "POST" && request.url === "/hooks/portability") return this.#webhook(request);
    return { status: 404 };
  }

  /** The document about this provider: docs/transfers.md#discovery. */
  #document() {
    const { domain, name, base_url: base, identities: keys } = this.config;
    const claims = {
      iss: domain, iat: now(), exp: now() + 7 * DAY, name, age_key: keys[0].text,
      jwks_url: `${base}/.well-known/jwks.json`, webhook_url: `${base}/hooks/portability`, formats: ["portability/1"],
    };
    return sign(claims, this.config.receiptKey, "portability-provider+jwt");
  }

  async #webhook(request) {
    if (request.headers["content-type"]?.split(";")[0].trim() !== "application/json") return { status: 415 };
    const body = await bodyOf(request, WEBHOOK_BYTES);
    const webhook = verified(request.headers, body, this.config.senders, now());
    if (!webhook) return { status: 401 };
    const { type, data } = webhook.document;
    if (type === "recipient.challenge") return this.#challenge(data);
    if (type === "transfer.offered") return this.#offer(webhook);
    return this.#notice(body, type, data);
  }

  #offer({ document: { data }, sender }) {
    let isOwn = false;
    try {
      isOwn = new URL(data.url).origin === new URL(sender.jwks_url).origin && Boolean(this.client.checked(data.url));
    } catch {
      // The next line refuses it.
    }
    if (!isOwn || typeof data.transfer !== "string" || Number.isNaN(Date.parse(data.expires_at))) return { status: 422 };
    const name = `${sender.issuer} ${data.transfer}`;
    // The same offer can come again: at least once is not exactly once.
    if (!this.known.has(name)) {
      this.known.add(name);
      this.queue = this.queue.then(() => this.#received(sender, data));
    }
    return { status: 202 };
  }

  async #received(sender, data, attempt = 1) {
    try {
      log("transfer.ended", { transfer: data.transfer, ...(await receive(this.config, this.client, sender, data)) });
    } catch (error) {
      const again = error instanceof Unavailable && attempt < ATTEMPTS;
      log(again ? "transfer.waits" : "transfer.failed", { transfer: data.transfer, error: error.message });
      // Later, and not in the queue: other transfers do not wait for it.
      if (again) setTimeout(() => this.#received(sender, data, attempt + 1), PAUSE_MS * 2 ** attempt).unref();
    }
  }

  /** docs/transfers.md#proof: no other text is decrypted for a sender. */
  async #challenge(data) {
    let text;
    try {
      text = (await decrypted(Buffer.from(String(data.sealed), "base64"), this.config.identities)).toString("utf8");
    } catch (error) {
      if (error instanceof Damaged || error instanceof WrongKey) return { status: 422 };
      throw error;
    }
    const [begin, issuer, domain] = text.split("\n");
    if (begin !== "recipient-challenge-1" || issuer !== data.issuer || domain !== this.config.domain) return { status: 422 };
    const proof = createHash("sha256").update(text).digest("hex");
    const claims = { iss: domain, aud: issuer, iat: now(), proof };
    return { status: 200, headers: JOSE, body: sign(claims, this.config.receiptKey, "portability-challenge+jwt") };
  }

  /** docs/transfers.md#notices: what becomes of the data afterwards. */
  #notice(body, type, data) {
    const kind = type.replace(/^transfer\./, "");
    const { notice, transfer, issuer, audience } = data;
    if (!KINDS.includes(kind) || audience !== this.config.domain) return { status: 422 };
    log("notice", { transfer, kind });
    const claims = {
      iss: audience, aud: issuer, iat: now(), notice, transfer, kind,
      notice_sha256: createHash("sha256").update(body).digest("hex"),
    };
    return { status: 200, headers: JOSE, body: sign(claims, this.config.receiptKey, "portability-notice+jwt") };
  }
}

function log(event, details) {
  console.error(JSON.stringify({ event, ...details }));
}

if (process.argv[1] === import.meta.filename) {
  const config = await configured(process.argv[2]);
  const receiver = new Receiver(config);
  const server = createServer((request, response) => receiver.handle(request, response));
  server.listen(config.port, config.host ?? "127.0.0.1", () => log("listening", { port: server.address().port }));
}
