// Requests to senders: only to checked addresses, without redirects, with limits of size and time.
import { lookup as resolve } from "node:dns";
import http from "node:http";
import https from "node:https";
import { BlockList, isIP } from "node:net";
import { Unavailable } from "./faults.mjs";

const TIMEOUT_MS = 60_000;
export const ANSWER_BYTES = 8 << 20;
const PRIVATE = new BlockList();
for (const [address, bits] of [
  ["0.0.0.0", 8], ["10.0.0.0", 8], ["100.64.0.0", 10], ["127.0.0.0", 8], ["169.254.0.0", 16], ["172.16.0.0", 12],
  ["192.0.0.0", 24], ["192.0.2.0", 24], ["192.88.99.0", 24], ["192.168.0.0", 16], ["198.18.0.0", 15],
  ["198.51.100.0", 24], ["203.0.113.0", 24], ["224.0.0.0", 3],
]) PRIVATE.addSubnet(address, bits, "ipv4");
const GLOBAL = new BlockList();
GLOBAL.addSubnet("2000::", 3, "ipv6");
const SPECIAL = new BlockList();
for (const [address, bits] of [["2001::", 23], ["2001:db8::", 32], ["2002::", 16], ["3fff::", 20]]) {
  SPECIAL.addSubnet(address, bits, "ipv6");
}
const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/** A client with the rules of docs/transfers.md#addresses-from-outside; `loopback` is for tests on one machine. */
export class Client {
  constructor(loopback) {
    this.loopback = loopback;
  }

  /** Return the URL if it may be requested. Throws Unavailable. */
  checked(text) {
    let url;
    try {
      url = new URL(text);
    } catch {
      throw new Unavailable("not a URL");
    }
    const isPlain = url.protocol === "http:";
    if (url.username || url.password || url.hash) throw new Unavailable("a URL with a user or a fragment");
    if (url.protocol !== "https:" && !(isPlain && this.loopback)) throw new Unavailable("only https is requested");
    return url;
  }

  /** Return an answer whose body is still to be read; redirects are answers as any other. Throws Unavailable. */
  request(text, { method = "GET", headers = {}, body } = {}) {
    const url = this.checked(text);
    const host = url.hostname.replace(/^\[|\]$/g, "");
    if (isIP(host) && !this.#allows(host, url.protocol)) return Promise.reject(new Unavailable("a private address"));
    const options = {
      method,
      timeout: TIMEOUT_MS,
      // A connection of its own: a kept one may end while it waits, and a transfer needs few.
      agent: false,
      headers: { "accept-encoding": "identity", "content-length": body ? Buffer.byteLength(body) : 0, ...headers },
      // Each address of the name is checked, and the connection goes to a checked address.
      lookup: (name, more, done) =>
        resolve(name, { ...more, all: true }, (error, found) => {
          if (error) return done(error);
          if (!found.every(({ address }) => this.#allows(address, url.protocol))) return done(new Error("a private address"));
          return more.all ? done(null, found) : done(null, found[0].address, found[0].family);
        }),
    };
    return new Promise((done, failed) => {
      const request = (url.protocol === "https:" ? https : http).request(url, options, done);
      request.on("timeout", () => request.destroy(new Error("timeout")));
      request.on("error", (error) => failed(new Unavailable(error.message)));
      request.end(body);
    });
  }

  /** Return the body of an answer with status 200. Throws Unavailable. */
  async get(url, most = ANSWER_BYTES) {
    const answer = await this.request(url, { headers: { accept: "application/json" } });
    if (answer.statusCode !== 200) {
      answer.destroy();
      throw new Unavailable(`status ${answer.statusCode}`);
    }
    return bodyOf(answer, most);
  }

  #allows(address, protocol) {
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (LOOPBACK.check(address, family)) return this.loopback;
    if (protocol === "http:") return false;
    if (family === "ipv4") return !PRIVATE.check(address, family);
    return GLOBAL.check(address, family) && !SPECIAL.check(address, family);
  }
}

/** Return a body of at most `most` bytes. Throws Unavailable. */
export async function bodyOf(stream, most) {
  const parts = [];
  let size = 0;
  try {
    for await (const part of stream) {
      size += part.length;
      if (size > most) throw new Unavailable(`more than ${most} bytes`);
      parts.push(part);
    }
  } catch (error) {
    throw error instanceof Unavailable ? error : new Unavailable(error.message);
  }
  return Buffer.concat(parts);
}
