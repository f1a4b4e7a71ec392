// One transfer from its link to its receipt: docs/receiving.md#what-it-does, step by step.
import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Damaged, WrongKey, decryptFile } from "./age.mjs";
import { verified } from "./archive.mjs";
import { download, hashOf } from "./download.mjs";
import { ArchiveFault, Refused, Unavailable } from "./faults.mjs";
import { now, sign } from "./jose.mjs";
import { links, sha256, statement, volumesOf } from "./offer.mjs";
import { writeRecords } from "./records.mjs";

const RECEIPT = "portability-receipt+jwt";
const PROFILES_BYTES = 1 << 16;

/** Receive a transfer; returns what became of it. Throws Unavailable if another attempt may succeed. */
export async function receive(config, client, sender, { transfer, url }) {
  const folder = join(config.folder, createHash("sha256").update(`${sender.issuer} ${transfer}`).digest("hex").slice(0, 32));
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const found = await links(client, url);
  const token = (await client.get(found.statement_url, PROFILES_BYTES)).toString("latin1").trim();
  const jwks = JSON.parse((await client.get(sender.jwks_url)).toString("utf8"));
  const receipt = { url: found.receipt_url, issuer: sender.issuer, transfer, token, volumes: 0 };
  try {
    const claims = statement(token, jwks, { issuer: sender.issuer, audience: config.domain, transfer, at: now() });
    const volumes = volumesOf(await listOf(client, found.volumes_url, claims), claims);
    receipt.volumes = volumes.length;
    const proofs = await fetched(config, client, url, volumes, folder, claims.nonce);
    const paths = volumes.map((volume) => join(folder, volume.name));
    const expected = { iss: claims.iss, export: claims.export, sub: claims.sub, profile: claims.profile };
    const records = await writeRecords(await archive(paths, jwks, expected), join(folder, "records"));
    await posted(client, config, receipt, { status: "received", code: null, possession: sha256(Buffer.concat(proofs)) });
    await writeFile(join(folder, "done.json"), JSON.stringify({ transfer, state: "received", records }), { mode: 0o600 });
    return { state: "received", records };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    // What was refused does not stay here.
    await rm(folder, { recursive: true, force: true });
    if (error.receipted) await posted(client, config, receipt, { status: "refused", code: error.code });
    return { state: "refused", code: error.code };
  }
}

async function listOf(client, url, claims) {
  try {
    return await client.get(url, claims.list.bytes);
  } catch (error) {
    if (error instanceof Unavailable && error.message.startsWith("more than")) throw new Refused("wrong_list", error.message);
    throw error;
  }
}

/** Download and decrypt each volume; returns the parts of the proof of possession in the order of the list. */
async function fetched(config, client, link, volumes, folder, nonce) {
  const proofs = [];
  for (const volume of volumes) {
    const sent = join(folder, volume.encrypted.name);
    await download(client, link, volume, sent);
    proofs.push(Buffer.from(await hashOf(sent, Buffer.from(nonce, "hex")), "hex"));
    await decrypt(config, sent, volume, join(folder, volume.name));
    await rm(sent);
  }
  return proofs;
}

async function decrypt(config, sent, volume, path) {
  const file = await open(path, "w", 0o600);
  const hash = createHash("sha256");
  let size = 0;
  try {
    await decryptFile(sent, config.identities, async (block) => {
      size += block.length;
      if (size > volume.bytes) throw new Refused("changed", `${volume.name} is larger than listed`);
      hash.update(block);
      await file.write(block);
    });
  } catch (error) {
    if (error instanceof WrongKey) throw new Refused("wrong_key", error.message);
    if (error instanceof Damaged) throw new Refused("changed", error.message);
    throw error;
  } finally {
    await file.close();
  }
  if (size !== volume.bytes || hash.digest("hex") !== volume.sha256) throw new Refused("changed", `${volume.name} is not the listed volume`);
}

async function archive(paths, jwks, expected) {
  try {
    return await verified(paths, jwks, expected);
  } catch (error) {
    if (!(error instanceof ArchiveFault)) throw error;
    throw new Refused(error.code === "too_large" ? "archive_too_large" : "archive_refused", error.message);
  }
}

async function posted(client, config, { url, issuer, transfer, token, volumes }, result) {
  const claims = {
    iss: config.domain, aud: issuer, iat: now(), jti: randomBytes(18).toString("base64url"),
    transfer, transfer_sha256: sha256(token), volumes, ...result,
  };
  const body = sign(claims, config.receiptKey, RECEIPT);
  const answer = await client.request(url, { method: "POST", headers: { "content-type": "application/jose" }, body });
  answer.resume();
  if (answer.statusCode >= 500 || answer.statusCode === 429) throw new Unavailable(`receipt: status ${answer.statusCode}`);
  if (answer.statusCode !== 204) console.error(JSON.stringify({ event: "receipt.refused", transfer, status: answer.statusCode }));
}
