// Reads a ZIP of portability/1 strictly: every byte is as docs/archive-format.md#the-zip says, or it is refused.
import { open } from "node:fs/promises";
import { crc32 as crcOf, createInflateRaw } from "node:zlib";
import { ArchiveFault } from "./faults.mjs";

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const DESCRIPTOR = 0x08074b50;
const END = 0x06054b50;
const END_BYTES = 22;
const CENTRAL_BYTES = 46;
const LOCAL_BYTES = 30;
const DESCRIPTOR_BYTES = 16;
const DIRECTORY_BYTES_MAX = 1 << 26;
const ENTRIES_MAX = 1 << 18;
const FAR = 0xffffffff;
const BLOCK_BYTES = 1 << 16;
/** Data that packs better is a bomb, or needs the operator's permission. */
export const RATIO = 100;
const SMALL_BYTES = 64 << 20;

const COMPONENT = /^(?!(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))[A-Za-z0-9_-](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?$/i;

/** Return whether a path may be in an archive. */
export const isSafe = (path) => path.length <= 200 && path.split("/").every((part) => COMPONENT.test(part));

/** An open ZIP: its entries in their order, and their content on request. */
export class Zip {
  static async open(path) {
    const file = await open(path, "r");
    try {
      const zip = new Zip(file, (await file.stat()).size);
      await zip.#readDirectory();
      return zip;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  constructor(file, size) {
    this.file = file;
    this.size = size;
    this.entries = [];
  }

  close() {
    return this.file.close();
  }

  /** Return bytes of the file. */
  async bytes(at, size) {
    const buffer = Buffer.alloc(size);
    const { bytesRead } = await this.file.read(buffer, 0, size, at);
    if (bytesRead < size) throw new ArchiveFault("truncated_zip", `the file ends at byte ${at + bytesRead}`);
    return buffer;
  }

  async #readDirectory() {
    if (this.size < END_BYTES) throw new ArchiveFault("not_a_zip", "it is too short");
    const end = await this.bytes(this.size - END_BYTES, END_BYTES);
    if (end.readUInt32LE(0) !== END) throw await this.#withoutEnd();
    if (end.readUInt32LE(4) !== 0 || end.readUInt16LE(20) !== 0) throw new ArchiveFault("stray_bytes", "several disks or a comment");
    let [count, listed, offset, limit] = [end.readUInt16LE(10), end.readUInt32LE(12), end.readUInt32LE(16), this.size - END_BYTES];
    if (end.readUInt16LE(8) !== count) throw new ArchiveFault("header_mismatch", "two numbers of entries");
    const far = limit >= 76 ? await this.bytes(limit - 76, 76) : Buffer.alloc(76);
    if (far.readUInt32LE(0) === 0x06064b50 && far.readUInt32LE(56) === 0x07064b50) {
      [count, listed, offset] = [32, 40, 48].map((at) => Number(far.readBigUInt64LE(at)));
      limit -= 76;
      // ZIP64 only where a number does not fit.
      if (count < 0xffff && offset < 2 ** 31) throw new ArchiveFault(count > ENTRIES_MAX ? "too_large" : "repacked", "ZIP64");
    }
    if (count > ENTRIES_MAX || listed > DIRECTORY_BYTES_MAX) throw new ArchiveFault("too_large", `${count} entries`);
    if (offset + listed > limit) throw new ArchiveFault("truncated_zip", "bytes are missing");
    if (offset + listed < limit) throw new ArchiveFault("stray_bytes", "bytes beside the directory");
    this.directoryAt = offset;
    this.#parse(await this.bytes(offset, listed), count);
  }

  async #withoutEnd() {
    const isZip = (await this.bytes(0, 4)).readUInt32LE(0) === LOCAL;
    const tail = await this.bytes(Math.max(0, this.size - 66_000), Math.min(this.size, 66_000));
    if (tail.includes(Buffer.from("PK\x05\x06", "latin1"))) return new ArchiveFault("stray_bytes", "bytes after the end record");
    return new ArchiveFault(isZip ? "truncated_zip" : "not_a_zip", "it has no end record");
  }

  #parse(directory, count) {
    let at = 0;
    while (at < directory.length) {
      if (directory.length - at < CENTRAL_BYTES || directory.readUInt32LE(at) !== CENTRAL) {
        throw new ArchiveFault("header_mismatch", "not a record of a directory");
      }
      const [made, needed, flags, method] = [4, 6, 8, 10].map((place) => directory.readUInt16LE(at + place));
      const [nameBytes, extraBytes, commentBytes, disk, internal] = [28, 30, 32, 34, 36].map((place) => directory.readUInt16LE(at + place));
      const entry = {
        flags,
        method,
        name: directory.toString("latin1", at + CENTRAL_BYTES, at + CENTRAL_BYTES + nameBytes),
        stamp: directory.readUInt32LE(at + 12),
        crc: directory.readUInt32LE(at + 16),
        packed: directory.readUInt32LE(at + 20),
        bytes: directory.readUInt32LE(at + 24),
        offset: directory.readUInt32LE(at + 42),
      };
      const isFar = entry.offset === FAR && extraBytes === 12;
      if (isFar) entry.offset = Number(directory.readBigUInt64LE(at + CENTRAL_BYTES + nameBytes + 4));
      const version = isFar ? 45 : 20;
      // A Unix file with mode 0600 and without a type: neither a link nor a folder.
      entry.isPlain = made === ((3 << 8) | version) && needed === version && flags === 8 && method === 8
        && extraBytes === (isFar ? 12 : 0) && commentBytes === 0 && disk === 0 && internal === 0
        && directory.readUInt32LE(at + 38) === 0o600 * 65536;
      this.entries.push(entry);
      at += CENTRAL_BYTES + nameBytes + extraBytes + commentBytes;
    }
    if (at !== directory.length || this.entries.length !== count) throw new ArchiveFault("header_mismatch", "another number of entries");
    this.#checkNames();
  }

  #checkNames() {
    const folders = new Map();
    for (const { name } of this.entries) folders.set(name.split("/")[0], (folders.get(name.split("/")[0]) ?? 0) + 1);
    this.root = [...folders].sort((one, other) => other[1] - one[1])[0]?.[0] ?? "";
    const seen = new Set();
    for (const { name } of this.entries) {
      if (!isSafe(name) || !name.startsWith(`${this.root}/`)) throw new ArchiveFault("bad_name", JSON.stringify(name));
      if (seen.has(name.toLowerCase())) throw new ArchiveFault("duplicate_entry", name);
      seen.add(name.toLowerCase());
    }
    for (const { name } of this.entries) {
      const parts = name.toLowerCase().split("/");
      for (let depth = 1; depth < parts.length; depth += 1) {
        if (seen.has(parts.slice(0, depth).join("/"))) throw new ArchiveFault("bad_name", `${name}: a file is a folder`);
      }
    }
    const total = this.entries.reduce((sum, entry) => sum + entry.bytes, 0);
    if (total > Math.max(RATIO * this.size, SMALL_BYTES)) throw new ArchiveFault("too_large", `unpacks to ${total} bytes`);
  }

  /** Check that entries follow each other without a gap, from the first byte to the directory. */
  async checkPlaces() {
    if (this.entries.some((entry, place) => place > 0 && entry.offset <= this.entries[place - 1].offset)) {
      throw new ArchiveFault("header_mismatch", "the directory is not in the order of the entries");
    }
    let next = 0;
    for (const entry of this.entries) {
      if (entry.offset < next) throw new ArchiveFault("header_mismatch", "entries overlap, or are out of order");
      if (entry.offset > next) throw new ArchiveFault(await this.#gap(next), "bytes that belong to no entry");
      next += LOCAL_BYTES + entry.name.length + entry.packed + DESCRIPTOR_BYTES;
      await this.#checkHeaders(entry);
    }
    if (next !== this.directoryAt) throw new ArchiveFault(next < this.directoryAt ? await this.#gap(next) : "header_mismatch", "before the directory");
  }

  async #gap(at) {
    return (await this.bytes(at, 4)).readUInt32LE(0) === LOCAL ? "hidden_entry" : "stray_bytes";
  }

  async #checkHeaders(entry) {
    const local = await this.bytes(entry.offset, LOCAL_BYTES + entry.name.length);
    const fields = [[0, LOCAL], [10, entry.stamp], [14, 0], [18, 0], [22, 0]];
    const numbers = [[6, entry.flags], [8, entry.method], [26, entry.name.length], [28, 0]];
    const isLocal = fields.every(([at, value]) => local.readUInt32LE(at) === value)
      && numbers.every(([at, value]) => local.readUInt16LE(at) === value)
      && local.toString("latin1", LOCAL_BYTES) === entry.name;
    if (!isLocal || entry.method !== 8) throw new ArchiveFault("header_mismatch", `${entry.name}: its local header differs`);
    const descriptor = await this.bytes(entry.offset + LOCAL_BYTES + entry.name.length + entry.packed, DESCRIPTOR_BYTES);
    const values = [DESCRIPTOR, entry.crc, entry.packed, entry.bytes];
    if (values.some((value, place) => descriptor.readUInt32LE(4 * place) !== value)) {
      throw new ArchiveFault("header_mismatch", `${entry.name}: its data descriptor differs`);
    }
  }

  /** Yield the content of an entry, never more than it declares; at its end size and CRC were checked. */
  async *content(entry) {
    const inflate = createInflateRaw();
    const at = entry.offset + LOCAL_BYTES + entry.name.length;
    const feed = (async () => {
      for (let done = 0; done < entry.packed; done += BLOCK_BYTES) {
        const block = await this.bytes(at + done, Math.min(BLOCK_BYTES, entry.packed - done));
        if (!inflate.write(block)) await new Promise((go) => inflate.once("drain", go).once("close", go));
        if (inflate.destroyed) return;
      }
      inflate.end();
    })();
    feed.catch((error) => inflate.destroy(error));
    let size = 0;
    let crc = 0;
    try {
      for await (const block of inflate) {
        size += block.length;
        if (size > entry.bytes) throw new ArchiveFault("changed", `${entry.name} unpacks to more than it declares`);
        crc = crcOf(block, crc);
        yield block;
      }
    } catch (error) {
      throw error instanceof ArchiveFault ? error : new ArchiveFault("changed", `${entry.name}: damaged data`);
    }
    if (size !== entry.bytes || crc !== entry.crc || inflate.bytesWritten !== entry.packed) {
      throw new ArchiveFault("changed", `${entry.name} has another size or CRC`);
    }
  }
}
