// Runs the test vectors of ../vectors against this receiver: `node --test check-vectors.mjs`.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { decryptFile, identities } from "./lib/age.mjs";
import { verified as verifiedArchive } from "./lib/archive.mjs";
import { verify } from "./lib/jose.mjs";
import { sha256, statement, volumesOf } from "./lib/offer.mjs";
import { verified as verifiedWebhook } from "./lib/webhook.mjs";

const VECTORS = join(import.meta.dirname, "..", "vectors");
const file = (name) => readFile(join(VECTORS, name));
const json = async (name) => JSON.parse((await file(name)).toString("utf8"));
const keys = await json("test-keys.json");
const senderKeys = await json("sender-jwks.json");
const code = async (work) => {
  try {
    await work();
    return null;
  } catch (error) {
    if (!error.code || error.code.startsWith("ERR")) throw error;
    return error.code;
  }
};

const { archives, export: exportId } = await json("archives.json");
for (const { name, volumes, code: expected } of archives) {
  test(`archive ${name}`, async () => {
    const paths = volumes.map((volume) => join(VECTORS, volume));
    assert.equal(await code(() => verifiedArchive(paths, senderKeys, { export: exportId })), expected);
  });
}

const { offers, ...about } = await json("offers.json");
for (const { name, transfer_jwt: token, volumes_json: list, code: expected, has_receipt: receipted } of offers) {
  test(`offer ${name}`, async () => {
    const found = await code(() => {
      volumesOf(Buffer.from(list), statement(token, senderKeys, about));
    });
    assert.equal(found, expected);
    assert.equal(["bad_statement", "statement_expired", "clock_skew"].includes(expected), !receipted);
  });
}

test("transfer", async () => {
  const token = (await file("transfer/transfer.jwt")).toString();
  const claims = statement(token, senderKeys, about);
  const [volume] = volumesOf(await file("transfer/volumes.json"), claims);
  const blocks = [];
  await decryptFile(join(VECTORS, "transfer", volume.encrypted.name), identities(keys.age_identity), (block) => blocks.push(block));
  assert.equal(sha256(Buffer.concat(blocks)), volume.sha256);
  const proof = sha256(Buffer.concat([Buffer.from(claims.nonce, "hex"), await file(`transfer/${volume.encrypted.name}`)]));
  const receipt = verify((await file("transfer/receipt.jwt")).toString(), await json("recipient-jwks.json"), "portability-receipt+jwt");
  assert.equal(receipt.possession, sha256(Buffer.from(proof, "hex")));
  assert.equal(receipt.transfer_sha256, sha256(token));
});

const { webhooks, sender, answers, at } = await json("webhooks.json");
for (const { name, ok, headers, body } of webhooks) {
  test(`webhook ${name}`, () => {
    const found = verifiedWebhook(headers, Buffer.from(body), [sender], at);
    const isOwn = found && new URL(found.document.data.url).origin === new URL(sender.jwks_url).origin;
    assert.equal(Boolean(isOwn) && headers["content-type"] === "application/json", ok);
  });
}
for (const { name, answer, claims } of answers) {
  test(`answer ${name}`, async () => {
    assert.deepEqual(verify(answer, await json("recipient-jwks.json"), `portability-${name}+jwt`), claims);
  });
}

const providers = await json("providers.json");
for (const { name, ok, document } of providers.documents) {
  test(`provider ${name}`, async () => {
    const set = await json(providers.jwks);
    if (!name.includes("key") || name.includes("age-key") || name.includes("keys-elsewhere")) return assert.ok(document);
    assert.equal(await code(() => verify(document, set, "portability-provider+jwt")) === null, ok);
  });
}
