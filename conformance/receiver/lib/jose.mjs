// JWS in compact form, ES256 only (RFC 7515, RFC 7518 section 3.4).
import { createPrivateKey, createPublicKey, sign as signBytes, verify as verifyBytes } from "node:crypto";
import { TokenFault } from "./faults.mjs";

export const SKEW_SECONDS = 300;
const ENCODING = "ieee-p1363"; // the 64 bytes of r and s, as a JWS has them

/** Return the time in seconds since 1970. */
export const now = () => Math.floor(Date.now() / 1000);

/** Return the signed token of some claims; `jwk` is a private key with its `kid`. */
export function sign(claims, jwk, typ) {
  const header = { alg: "ES256", kid: jwk.kid, typ };
  const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  const key = createPrivateKey({ key: jwk, format: "jwk" });
  return `${text}.${signBytes("sha256", Buffer.from(text), { key, dsaEncoding: ENCODING }).toString("base64url")}`;
}

/** Return the claims of a token that a key of the set has signed. Throws TokenFault. */
export function verify(token, jwks, typ) {
  const texts = token.split(".");
  if (texts.length !== 3) throw new TokenFault("malformed_jws", `a compact JWS has 3 parts, not ${texts.length}`);
  const header = object(decoded(texts[0], "malformed_jws"));
  if (header.alg !== "ES256") throw new TokenFault("forbidden_algorithm", String(header.alg));
  if (header.typ !== typ) throw new TokenFault("wrong_type", String(header.typ));
  if (Object.keys(header).sort().join() !== "alg,kid,typ") throw new TokenFault("malformed_jws", "other header members");
  const payload = decoded(texts[1], "malformed_jws");
  const signature = decoded(texts[2], "bad_signature");
  const key = jwks.keys.find((one) => one.kid === header.kid && one.kty === "EC" && one.crv === "P-256");
  if (!key) throw new TokenFault("unknown_key", "the key set has no such key");
  const { kty, crv, x, y } = key;
  const publicKey = createPublicKey({ key: { kty, crv, x, y }, format: "jwk" });
  const text = Buffer.from(`${texts[0]}.${texts[1]}`);
  const isSigned = signature.length === 64 && verifyBytes("sha256", text, { key: publicKey, dsaEncoding: ENCODING }, signature);
  if (!isSigned) throw new TokenFault("bad_signature", "the key has not made the signature");
  const claims = object(payload);
  if (!Number.isInteger(claims.iat)) throw new TokenFault("bad_claims", "iat is not a number");
  if (key.revoked_at) throw new TokenFault("revoked_key", key.kid);
  if (key.retired_at && claims.iat > Date.parse(key.retired_at) / 1000) throw new TokenFault("signed_after_retirement", key.kid);
  return claims;
}

function decoded(text, code) {
  const bytes = Buffer.from(text, "base64url");
  if (bytes.toString("base64url") !== text) throw new TokenFault(code, "not canonical base64url");
  return bytes;
}

function object(bytes) {
  let value = null;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    // The next line refuses it.
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new TokenFault("malformed_jws", "a part is not a JSON object");
  }
  return value;
}
