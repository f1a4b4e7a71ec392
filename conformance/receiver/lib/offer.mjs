// An offer: the documents behind a link, and whether its statement and list are valid (docs/transfers.md#statement).
import { createHash } from "node:crypto";
import { Refused, TokenFault, Unavailable } from "./faults.mjs";
import { SKEW_SECONDS, verify } from "./jose.mjs";

const TYPE = "portability-transfer+jwt";
const LIST_BYTES_MAX = 64 << 20;
const SHA256 = /^[0-9a-f]{64}$/;
const NAME = /^(?!(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))[A-Za-z0-9_-][A-Za-z0-9._-]*$/i;

export const sha256 = (data) => createHash("sha256").update(data).digest("hex");

/** Return the addresses behind a link; all of them must be on the link's own origin. Throws Unavailable. */
export async function links(client, link) {
  let found;
  try {
    found = JSON.parse((await client.get(link)).toString("utf8"));
  } catch (error) {
    throw error instanceof Unavailable ? error : new Unavailable("the link does not lead to JSON");
  }
  const origin = new URL(link).origin;
  const transfer = found?.transfer ?? {};
  for (const name of ["statement_url", "volumes_url", "receipt_url", "jwks_url"]) {
    if (typeof transfer[name] !== "string" || new URL(transfer[name]).origin !== origin) {
      throw new Unavailable(`${name} is not on the origin of the link`);
    }
  }
  return transfer;
}

/** Return the claims of transfer.jwt. Throws Refused. */
export function statement(token, jwks, { issuer, audience, transfer, at }) {
  let claims;
  try {
    claims = verify(token, jwks, TYPE);
  } catch (error) {
    if (error instanceof TokenFault) throw new Refused("bad_statement", error.message, false);
    throw error;
  }
  const bad = (message) => new Refused("bad_statement", message, false);
  for (const name of ["iss", "aud", "jti", "sub", "profile", "export", "consent", "closing"]) {
    if (typeof claims[name] !== "string" || !claims[name]) throw bad(`no claim ${name}`);
  }
  if (claims.iss !== issuer) throw bad("another issuer");
  if (claims.jti !== transfer) throw bad("another transfer");
  if (!["portability", "switch"].includes(claims.profile)) throw bad("another profile");
  if (!Number.isInteger(claims.exp)) throw bad("no end");
  if (claims.exp + SKEW_SECONDS < at) throw new Refused("statement_expired", "its time is over", false);
  if (claims.iat > at + SKEW_SECONDS) throw new Refused("clock_skew", "it is of the future", false);
  if (!Number.isInteger(claims.revision)) throw bad("no revision");
  const { volumes, bytes, sha256: hash } = claims.list ?? {};
  const isList = Number.isInteger(volumes) && volumes > 0 && Number.isInteger(bytes) && bytes > 0 && bytes <= LIST_BYTES_MAX;
  if (!isList || !SHA256.test(hash)) throw bad("no list");
  if (!SHA256.test(claims.nonce)) throw bad("no nonce");
  if (claims.aud !== audience) throw new Refused("wrong_audience", "it is for another recipient");
  return claims;
}

/** Return the volumes of volumes.json. Throws Refused. */
export function volumesOf(body, claims) {
  const wrong = (message) => new Refused("wrong_list", message);
  if (body.length !== claims.list.bytes || sha256(body) !== claims.list.sha256) throw wrong("not the signed list");
  let document = null;
  try {
    document = JSON.parse(body.toString("utf8"));
  } catch {
    // The next lines refuse it.
  }
  if (document?.transfer !== claims.jti || document.closing !== claims.closing) throw wrong("of another transfer");
  const { volumes } = document;
  if (!Array.isArray(volumes) || volumes.length !== claims.list.volumes) throw wrong("another number of volumes");
  for (const volume of volumes) {
    if (!Number.isInteger(volume?.number)) throw wrong("a volume without number");
    if (!isFile(volume, ".zip") || !isFile(volume.encrypted, ".zip.age")) throw wrong("a volume that is not described");
  }
  for (const names of [volumes.map((one) => one.number), volumes.map((one) => one.name.toLowerCase())]) {
    if (new Set(names).size !== names.length) throw wrong("a volume is listed twice");
  }
  return volumes;
}

function isFile(file, suffix) {
  const { name, bytes, sha256: hash } = file ?? {};
  const isName = typeof name === "string" && name.length <= 200 && NAME.test(name) && name.endsWith(suffix);
  return isName && Number.isInteger(bytes) && bytes > 0 && SHA256.test(hash);
}
