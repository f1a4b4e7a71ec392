// node members.cjs ZIP...: `sha256 bytes name` of every member, an empty line after each ZIP.
"use strict";
const { createHash } = require("node:crypto");
const { promisify } = require("node:util");
const yauzl = require("yauzl");

async function list(path) {
  const zip = await promisify(yauzl.open)(path, { lazyEntries: true, autoClose: false, validateEntrySizes: true, strictFileNames: true });
  const read = promisify(zip.openReadStream.bind(zip));
  const entries = [];
  await new Promise((resolve, reject) => {
    zip.on("entry", (entry) => { entries.push(entry); zip.readEntry(); });
    zip.on("error", reject);
    zip.on("end", resolve);
    zip.readEntry();
  });
  for (const entry of entries) {
    const digest = createHash("sha256");
    let bytes = 0;
    for await (const block of await read(entry)) {
      digest.update(block);
      bytes += block.length;
    }
    console.log(`${digest.digest("hex")} ${bytes} ${entry.fileName}`);
  }
  zip.close();
  console.log();
}

(async () => {
  for (const path of process.argv.slice(2)) await list(path);
})();
