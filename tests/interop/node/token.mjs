// node token.mjs JWKS TOKEN...: the claims of each JWS whose signature holds, one JSON object a line.
import { readFileSync } from "node:fs";
import { createLocalJWKSet, jwtVerify } from "jose";

const [jwks, ...tokens] = process.argv.slice(2).map((path) => readFileSync(path, "utf8"));
const keys = createLocalJWKSet(JSON.parse(jwks));
for (const token of tokens) {
  const { payload } = await jwtVerify(token, keys, { algorithms: ["ES256"], typ: "portability-archive+jwt" });
  console.log(JSON.stringify(payload));
}
