// Decrypts age files (https://age-encryption.org/v1) to an X25519 identity, block by block.
import { createDecipheriv, createHmac, createPrivateKey, createPublicKey, diffieHellman, hkdfSync, timingSafeEqual } from "node:crypto";
import { open } from "node:fs/promises";

const ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const CHUNK_BYTES = 65_536;
const TAG_BYTES = 16;
const HEADER_BYTES_MAX = 65_536;
const PKCS8 = Buffer.from("302e020100300506032b656e04220420", "hex");
const SPKI = Buffer.from("302a300506032b656e032100", "hex");

/** The file is encrypted to another key. */
export class WrongKey extends Error {}
/** The file is not an age file, or is damaged. */
export class Damaged extends Error {}

/** Return the keys of a file of age-keygen. */
export function identities(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line && !line.startsWith("#"));
  return lines.map((line) => {
    const scalar = bech32(line.toLowerCase(), "age-secret-key-");
    const key = createPrivateKey({ key: Buffer.concat([PKCS8, scalar]), format: "der", type: "pkcs8" });
    const point = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
    return { key, point, text: encodedBech32("age", point) };
  });
}

/** Decrypt bytes that are in memory: a challenge. */
export async function decrypted(data, keys) {
  const parts = [];
  await decryptStream(async (size, at) => data.subarray(at, at + size), keys, async (block) => parts.push(block));
  return Buffer.concat(parts);
}

/** Decrypt a file; `write` gets the blocks. Throws WrongKey, Damaged. */
export async function decryptFile(path, keys, write) {
  const file = await open(path, "r");
  try {
    await decryptStream(async (size, at) => {
      const buffer = Buffer.alloc(size);
      const { bytesRead } = await file.read(buffer, 0, size, at);
      return buffer.subarray(0, bytesRead);
    }, keys, write);
  } finally {
    await file.close();
  }
}

async function decryptStream(read, keys, write) {
  const head = await read(HEADER_BYTES_MAX, 0);
  const { fileKey, end } = opened(head, keys);
  const nonce = head.subarray(end, end + 16);
  if (nonce.length < 16) throw new Damaged("the file ends in its header");
  const key = hkdf(fileKey, nonce, "payload");
  let at = end + 16;
  for (let counter = 0; ; counter += 1) {
    const chunk = await read(CHUNK_BYTES + TAG_BYTES, at);
    const next = await read(1, at + chunk.length);
    const isLast = next.length === 0;
    if (chunk.length < TAG_BYTES || (!isLast && chunk.length < CHUNK_BYTES + TAG_BYTES)) throw new Damaged("a block is missing");
    const block = openChunk(key, counter, isLast, chunk);
    if (isLast && block.length === 0 && counter > 0) throw new Damaged("the last block is empty");
    await write(block);
    at += chunk.length;
    if (isLast) return;
  }
}

function opened(head, keys) {
  const text = head.toString("latin1");
  if (!text.startsWith("age-encryption.org/v1\n")) throw new Damaged("not an age file");
  const mac = /\n--- ([A-Za-z0-9+/]{43})\n/.exec(text);
  if (!mac) throw new Damaged("the header has no end");
  const covered = head.subarray(0, mac.index + "\n---".length);
  const end = mac.index + mac[0].length;
  for (const [, share, body] of text.slice(0, mac.index + 1).matchAll(/-> X25519 ([A-Za-z0-9+/]{43})\n([A-Za-z0-9+/]{43})\n/g)) {
    for (const identity of keys) {
      const fileKey = unwrapped(Buffer.from(share, "base64"), Buffer.from(body, "base64"), identity);
      if (!fileKey) continue;
      const expected = createHmac("sha256", hkdf(fileKey, Buffer.alloc(0), "header")).update(covered).digest();
      const found = Buffer.from(mac[1], "base64");
      if (!timingSafeEqual(expected, found)) throw new Damaged("the header was changed");
      return { fileKey, end };
    }
  }
  throw new WrongKey("no key fits");
}

function unwrapped(share, body, { key, point }) {
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI, share]), format: "der", type: "spki" });
  let secret;
  try {
    secret = diffieHellman({ privateKey: key, publicKey });
  } catch {
    return null; // a point of small order
  }
  const wrapping = hkdf(secret, Buffer.concat([share, point]), "age-encryption.org/v1/X25519");
  try {
    return opening(wrapping, Buffer.alloc(12), body);
  } catch {
    return null;
  }
}

function openChunk(key, counter, isLast, chunk) {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(counter, 5, 6);
  nonce[11] = isLast ? 1 : 0;
  try {
    return opening(key, nonce, chunk);
  } catch {
    throw new Damaged("a block was changed");
  }
}

function opening(key, nonce, sealed) {
  const cipher = createDecipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  return Buffer.concat([cipher.update(sealed.subarray(0, -TAG_BYTES)), cipher.final()]);
}

function hkdf(secret, salt, info) {
  return Buffer.from(hkdfSync("sha256", secret, salt, info, 32));
}

function bech32(text, prefix) {
  if (!text.startsWith(`${prefix}1`)) throw new Error("not an age key");
  const values = [...text.slice(prefix.length + 1)].map((letter) => ALPHABET.indexOf(letter));
  if (values.includes(-1) || polymod([...expanded(prefix), ...values]) !== 1) throw new Error("the age key has a typing error");
  let number = 0n;
  for (const value of values.slice(0, 52)) number = (number << 5n) | BigInt(value);
  return Buffer.from((number >> 4n).toString(16).padStart(64, "0"), "hex");
}

function encodedBech32(prefix, bytes) {
  const number = BigInt(`0x${bytes.toString("hex")}`) << 4n;
  const values = Array.from({ length: 52 }, (_, place) => Number((number >> BigInt(5 * (51 - place))) & 31n));
  const sum = polymod([...expanded(prefix), ...values, 0, 0, 0, 0, 0, 0]) ^ 1;
  const check = Array.from({ length: 6 }, (_, place) => (sum >>> (5 * (5 - place))) & 31);
  return `${prefix}1${[...values, ...check].map((value) => ALPHABET[value]).join("")}`;
}

function expanded(prefix) {
  const codes = [...prefix].map((letter) => letter.charCodeAt(0));
  return [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31)];
}

function polymod(values) {
  const generator = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    generator.forEach((one, place) => {
      if ((top >>> place) & 1) sum ^= one;
    });
  }
  return sum >>> 0;
}
