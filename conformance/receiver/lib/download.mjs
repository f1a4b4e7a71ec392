// Downloads an encrypted volume, and continues after an interruption (Range and If-Range, RFC 9110).
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { Refused, Unavailable } from "./faults.mjs";

const ATTEMPTS = 5; // in a row without progress
const PAUSE_MS = 250;
const REDIRECTS = 3;

/** Download a volume to `path`, with its size and SHA-256. Throws Refused, Unavailable. */
export async function download(client, link, volume, path) {
  const { bytes, sha256, name } = volume.encrypted;
  const part = `${path}.part`;
  const state = { claim: null, etag: null };
  for (let fruitless = 0; ; ) {
    const have = await sizeOf(part);
    if (have === bytes) break;
    if (have > bytes) throw new Refused("changed", `${name} has more than the listed bytes`);
    try {
      state.claim ??= await claimed(client, link, volume.number);
      await continued(client, state, part, have, volume.encrypted);
    } catch (error) {
      if (!(error instanceof Unavailable) || fruitless + 1 >= ATTEMPTS) throw error;
    }
    fruitless = (await sizeOf(part)) > have ? 0 : fruitless + 1;
    if (fruitless) await wait(PAUSE_MS * 2 ** fruitless);
  }
  if ((await hashOf(part)) !== sha256) {
    await rm(part);
    throw new Refused("changed", `${name} has another SHA-256`);
  }
  await rename(part, path);
}

/** Return the SHA-256 of a file in hexadecimal, or of a prefix followed by the file. */
export async function hashOf(path, prefix = Buffer.alloc(0)) {
  const hash = createHash("sha256").update(prefix);
  for await (const block of createReadStream(path)) hash.update(block);
  return hash.digest("hex");
}

/** POST the link of a volume: the answer is 303 with the address of the download, on the same origin. */
async function claimed(client, link, number) {
  const answer = await client.request(`${link}/volumes/${number}`, { method: "POST" });
  answer.resume();
  if (answer.statusCode !== 303 || !answer.headers.location) throw new Unavailable(`no claim: status ${answer.statusCode}`);
  const url = new URL(answer.headers.location, link);
  if (url.origin !== new URL(link).origin) throw new Unavailable("a claim at another host");
  return url.href;
}

async function continued(client, state, part, have, { bytes, name }) {
  const headers = have ? { range: `bytes=${have}-`, ...(state.etag ? { "if-range": state.etag } : {}) } : {};
  const answer = await final(client, state.claim, headers);
  try {
    const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(answer.headers["content-range"] ?? "");
    if (answer.statusCode === 416) throw new Refused("changed", `${name} has fewer than the listed bytes`);
    if ([401, 403, 404, 410].includes(answer.statusCode)) state.claim = null; // it has ended: the next attempt claims anew
    const isRest = answer.statusCode === 206 && range && Number(range[1]) === have;
    if (isRest && range[3] !== "*" && Number(range[3]) !== bytes) throw new Refused("changed", `${name} has another size`);
    if (answer.statusCode !== 200 && !isRest) throw new Unavailable(`status ${answer.statusCode}`);
    state.etag = answer.headers.etag?.startsWith('"') ? answer.headers.etag : null;
    // Status 200: another version, or a sender without ranges. The download begins again.
    const file = await open(part, isRest ? "a" : "w", 0o600);
    try {
      await appended(answer, file, isRest ? have : 0, bytes, name);
    } finally {
      await file.close();
    }
  } finally {
    answer.destroy();
  }
}

/** The download may be in an object storage: a few redirects are followed, each to a checked https address. */
async function final(client, first, headers) {
  let url = first;
  for (let redirects = 0; redirects <= REDIRECTS; redirects += 1) {
    const answer = await client.request(url, { headers });
    if (![301, 302, 303, 307, 308].includes(answer.statusCode) || !answer.headers.location) return answer;
    answer.destroy();
    url = new URL(answer.headers.location, url).href;
  }
  throw new Unavailable("too many redirects");
}

async function appended(answer, file, begin, most, name) {
  let size = begin;
  try {
    for await (const block of answer) {
      size += block.length;
      if (size > most) throw new Refused("changed", `${name} has more than the listed bytes`);
      await file.write(block);
    }
  } catch (error) {
    throw error instanceof Refused ? error : new Unavailable(error.message);
  }
}

async function sizeOf(path) {
  return (await stat(path).catch(() => ({ size: 0 }))).size;
}
