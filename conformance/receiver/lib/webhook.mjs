// Webhooks according to Standard Webhooks: who has signed one, and when.
import { createHmac, timingSafeEqual } from "node:crypto";

const TOLERANCE_SECONDS = 300;

/** Return the document and its recorded sender; null if no recorded sender has signed it now. */
export function verified(headers, body, senders, present) {
  const id = headers["webhook-id"];
  const time = headers["webhook-timestamp"];
  const signatures = headers["webhook-signature"];
  if (!id || !time || !signatures || !/^\d{1,12}$/.test(time)) return null;
  if (Math.abs(present - Number(time)) > TOLERANCE_SECONDS) return null;
  let document;
  try {
    document = JSON.parse(body.toString("utf8"));
  } catch {
    return null;
  }
  const sender = senders.find((one) => one.issuer === document?.data?.issuer);
  if (!sender || typeof document.type !== "string") return null;
  const secret = Buffer.from(sender.secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", secret).update(`${id}.${time}.`).update(body).digest();
  const isSigned = signatures.split(" ").some((one) => {
    const [version, value] = one.split(",");
    const found = Buffer.from(value ?? "", "base64");
    return version === "v1" && found.length === expected.length && timingSafeEqual(found, expected);
  });
  return isSigned ? { document, sender, id } : null;
}
