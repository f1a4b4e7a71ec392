// Whether volumes are what their issuer signed, and all of them (docs/archive-format.md).
import { createHash } from "node:crypto";
import { ArchiveFault, TokenFault } from "./faults.mjs";
import { verify } from "./jose.mjs";
import { Zip } from "./zip.mjs";

const TYPE = "portability-archive+jwt";
const FORMAT = "portability/1";
const KEPT_BYTES_MAX = 1 << 26;
const TOKEN_BYTES_MAX = 1 << 14;
const CLAIMS = {
  iss: "string", sub: "string", profile: "string", export: "string", volume: "number", revision: "number",
  closing: "boolean", tagmanifest_sha256: "string", head_sha256: "string", files: "number", bytes: "number",
};
const SIGNATURE = "signature.jwt";
const MANIFEST = "manifest-sha256.txt";
const TAG_MANIFEST = "tagmanifest-sha256.txt";
const KEPT = new Set([MANIFEST, TAG_MANIFEST, "bagit.txt", "bag-info.txt", "counts.json", "export.json", "datapackage.json"]);
const NUMBERS = ["records", "files", "bytes", "corrections"];

/** Return the verified volumes of an archive, the newest revision first. Throws ArchiveFault. */
export async function verified(paths, jwks, expected) {
  const volumes = [];
  for (const path of paths) volumes.push(await checkedVolume(path, jwks));
  const closing = volumes.filter((one) => one.claims.closing).sort((one, other) => other.claims.revision - one.claims.revision)[0];
  if (!closing) throw new ArchiveFault("missing_closing_volume", "no volume has export.json");
  for (const { claims, root } of volumes) {
    for (const [name, value] of Object.entries({ iss: closing.claims.iss, export: closing.claims.export, sub: closing.claims.sub, profile: closing.claims.profile, ...expected })) {
      if (claims[name] !== value) throw new ArchiveFault("foreign_volume", `${root}: another ${name}`);
    }
  }
  checkList(volumes, closing);
  return volumes.sort((one, other) => other.claims.revision - one.claims.revision || other.claims.volume - one.claims.volume);
}

async function checkedVolume(path, jwks) {
  const zip = await Zip.open(path);
  try {
    const claims = await signedClaims(zip, jwks);
    await zip.checkPlaces();
    const volume = { path, claims, root: zip.root, size: zip.size, ...(await read(zip)) };
    checkManifests(volume);
    checkClaims(volume);
    checkBag(volume);
    checkCounts(volume);
    volume.closing = closingDocument(volume);
    if (zip.entries.some((entry) => !entry.isPlain)) throw new ArchiveFault("repacked", "an entry is not written as the format says");
    return volume;
  } finally {
    await zip.close();
  }
}

async function signedClaims(zip, jwks) {
  const entry = zip.entries.at(-1);
  if (entry?.name !== `${zip.root}/${SIGNATURE}`) throw new ArchiveFault("missing", SIGNATURE);
  if (entry.bytes > TOKEN_BYTES_MAX) throw new ArchiveFault("too_large", SIGNATURE);
  // One block that is not compressed: so its bytes follow from its content.
  if (entry.packed !== entry.bytes + 5) throw new ArchiveFault("repacked", SIGNATURE);
  let claims;
  try {
    claims = verify((await whole(zip.content(entry))).toString("latin1"), jwks, TYPE);
  } catch (error) {
    throw error instanceof TokenFault ? new ArchiveFault(error.code, error.message) : error;
  }
  for (const [name, type] of Object.entries(CLAIMS)) {
    if (typeof claims[name] !== type) throw new ArchiveFault("bad_claims", name);
  }
  return claims;
}

/** Read the whole volume once: hashes of files, of the bytes before the signature, and of the ZIP. */
async function read(zip) {
  const hashes = new Map();
  const kept = new Map();
  const lines = new Map();
  for (const entry of zip.entries) {
    const path = entry.name.slice(zip.root.length + 1);
    const hash = createHash("sha256");
    const blocks = [];
    let count = 0;
    if (KEPT.has(path) && entry.bytes > KEPT_BYTES_MAX) throw new ArchiveFault("too_large", path);
    for await (const block of zip.content(entry)) {
      hash.update(block);
      if (KEPT.has(path)) blocks.push(block);
      if (path.endsWith(".jsonl")) for (const byte of block) if (byte === 10) count += 1;
    }
    hashes.set(path, hash.digest("hex"));
    lines.set(path, count);
    if (KEPT.has(path)) kept.set(path, Buffer.concat(blocks));
  }
  const payload = zip.entries.filter((entry) => entry.name.startsWith(`${zip.root}/data/`));
  const bytes = payload.reduce((sum, entry) => sum + entry.bytes, 0);
  const [head, all] = await hashesOfBytes(zip);
  return { hashes, kept, lines, files: payload.length, bytes, head, sha256: all };
}

async function hashesOfBytes(zip) {
  const hash = createHash("sha256");
  const signatureAt = zip.entries.at(-1).offset;
  let head = "";
  for (let at = 0; at < zip.size; ) {
    if (at === signatureAt) head = hash.copy().digest("hex");
    const until = at < signatureAt ? signatureAt : zip.size;
    const block = await zip.bytes(at, Math.min(1 << 20, until - at));
    hash.update(block);
    at += block.length;
  }
  return [head, hash.digest("hex")];
}

function checkManifests({ hashes, kept }) {
  const listed = new Map();
  for (const name of [TAG_MANIFEST, MANIFEST]) {
    if (!kept.has(name)) throw new ArchiveFault("missing", name);
    const text = kept.get(name).toString("latin1");
    for (const line of text ? text.replace(/\n$/, "").split("\n") : []) {
      const match = /^([0-9a-f]{64}) {2}([!-~]+)$/.exec(line);
      const isPayload = match?.[2].startsWith("data/");
      if (!match || listed.has(match[2]) || isPayload !== (name === MANIFEST) || [TAG_MANIFEST, SIGNATURE].includes(match[2])) {
        throw new ArchiveFault("bad_manifest", name);
      }
      listed.set(match[2], match[1]);
    }
  }
  const added = [...hashes].filter(([path]) => !listed.has(path) && path !== TAG_MANIFEST && path !== SIGNATURE);
  for (const [path, hash] of listed) {
    if (!hashes.has(path)) throw new ArchiveFault(added.some(([, other]) => other === hash) ? "renamed" : "missing", path);
    if (hashes.get(path) !== hash) throw new ArchiveFault("changed", path);
  }
  if (added.length) throw new ArchiveFault("added", added[0][0]);
}

function checkClaims({ claims, hashes, files, bytes, root, head }) {
  if (claims.tagmanifest_sha256 !== hashes.get(TAG_MANIFEST)) throw new ArchiveFault("changed", TAG_MANIFEST);
  if (claims.files !== files || claims.bytes !== bytes) throw new ArchiveFault("count_mismatch", `${files} files of ${bytes} bytes`);
  const end = `-${claims.export}-${String(claims.volume).padStart(3, "0")}`;
  const isNamed = root.endsWith(end) && /^[a-z0-9]+(-[a-z0-9]+)*$/.test(root.slice(0, -end.length));
  if (!isNamed) throw new ArchiveFault("bad_name", root);
  if (claims.head_sha256 !== head) throw new ArchiveFault("repacked", "the bytes before the signature differ");
}

function checkBag({ kept, files, bytes }) {
  for (const name of ["bagit.txt", "bag-info.txt"]) if (!kept.has(name)) throw new ArchiveFault("missing", name);
  const stated = kept.get("bag-info.txt").toString("utf8").split("\n").filter((line) => line.startsWith("Payload-Oxum: "));
  if (stated.join() !== `Payload-Oxum: ${bytes}.${files}`) throw new ArchiveFault("count_mismatch", "Payload-Oxum");
}

function checkCounts(volume) {
  const text = volume.kept.get("counts.json");
  if (!text) return; // a volume of an earlier release
  const counts = parsed(text, "wrong_counts");
  if (counts.format !== FORMAT || !areCounts(counts.datasets) || !Array.isArray(counts.pieces)) throw new ArchiveFault("wrong_counts", "counts.json");
  const records = new Map();
  for (const piece of counts.pieces) {
    if (!volume.lines.has(piece.path) || !Number.isInteger(piece.records)) throw new ArchiveFault("wrong_counts", String(piece.path));
    if (!piece.path.endsWith(".jsonl")) continue;
    if (volume.lines.get(piece.path) !== piece.records) throw new ArchiveFault("wrong_counts", piece.path);
    const name = `${piece.exporter}/${piece.dataset}`;
    records.set(name, (records.get(name) ?? 0) + piece.records);
  }
  for (const one of counts.datasets) {
    const found = records.get(`${one.exporter}/${one.dataset}`);
    if (found !== undefined && found !== one.records + one.corrections) throw new ArchiveFault("wrong_counts", one.dataset);
    records.delete(`${one.exporter}/${one.dataset}`);
  }
  if ([...records.values()].some((number) => number > 0)) throw new ArchiveFault("wrong_counts", "a dataset is not counted");
  volume.counts = counts.datasets;
}

const areCounts = (list) => Array.isArray(list) && list.every((one) => NUMBERS.every((name) => Number.isInteger(one?.[name])));

function closingDocument({ claims, kept }) {
  const text = kept.get("export.json");
  if (!text && !claims.closing) return null;
  const document = text ? parsed(text, "bad_closing") : {};
  const expected = { format: FORMAT, export: claims.export, subject: claims.sub, profile: claims.profile, revision: claims.revision };
  const isClosing = Object.entries(expected).every(([name, value]) => document[name] === value);
  if (isClosing !== claims.closing) throw new ArchiveFault("bad_closing", "export.json differs from the signature");
  return document;
}

function checkList(volumes, closing) {
  const lines = closing.closing.volumes;
  if (!Array.isArray(lines) || lines.at(-1)?.name !== closing.root) throw new ArchiveFault("bad_closing", "its list does not end with itself");
  const numbers = volumes.map(({ claims }) => claims.volume);
  if (new Set(numbers).size !== numbers.length) throw new ArchiveFault("extra_volume", "a volume occurs twice");
  for (const line of lines) {
    if (!volumes.some(({ root }) => root === line.name)) throw new ArchiveFault("missing_volume", String(line.name));
  }
  for (const volume of volumes) {
    const line = lines.find((one) => one.name === volume.root);
    if (!line) throw new ArchiveFault("extra_volume", volume.root);
    const isListed = line.bytes === volume.size && line.sha256 === volume.sha256 && line.tagmanifest_sha256 === volume.claims.tagmanifest_sha256;
    if (volume !== closing && !isListed) throw new ArchiveFault("volume_changed", volume.root);
  }
  if (!lines.every((line) => areCounts(line.counts))) return; // volumes of earlier releases have no counts
  for (const volume of volumes) compareCounts(volume.counts ?? [], lines.find((one) => one.name === volume.root).counts, volume.root);
  compareCounts(lines.flatMap((line) => line.counts), closing.closing.datasets, "all volumes");
}

function compareCounts(found, stated, where) {
  if (!areCounts(stated)) throw new ArchiveFault("wrong_counts", where);
  const sums = (list) => {
    const result = {};
    for (const one of list) for (const name of NUMBERS) {
      const key = `${one.exporter}/${one.dataset}/${name}`;
      if (one[name]) result[key] = (result[key] ?? 0) + one[name];
    }
    return JSON.stringify(Object.entries(result).sort());
  };
  if (sums(found) !== sums(stated)) throw new ArchiveFault("wrong_counts", where);
}

function parsed(text, code) {
  try {
    const value = JSON.parse(text.toString("utf8"));
    if (value !== null && typeof value === "object") return value;
  } catch {
    // The next line refuses it.
  }
  throw new ArchiveFault(code, "not a JSON object");
}

/** Return a whole content. */
export async function whole(content) {
  const blocks = [];
  for await (const block of content) blocks.push(block);
  return Buffer.concat(blocks);
}
