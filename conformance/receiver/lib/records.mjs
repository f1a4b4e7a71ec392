// Writes the records of verified volumes as NDJSON: one file for each dataset, each record in its newest form.
import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { once } from "node:events";
import { Zip } from "./zip.mjs";

const WORD = /^[a-z][a-z0-9_]*$/;

/** Write the records and return their number by dataset; `volumes` begins with the newest. */
export async function writeRecords(volumes, folder) {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const outputs = new Map();
  for (const volume of volumes) {
    const resources = JSON.parse(volume.kept.get("datapackage.json").toString("utf8")).resources;
    const zip = await Zip.open(volume.path);
    try {
      for (const resource of [...resources].reverse()) {
        const [exporter, dataset] = [resource["x-exporter"], resource["x-dataset"]];
        if (resource.mediatype !== "application/jsonl" || !WORD.test(exporter) || !WORD.test(dataset)) continue;
        const name = `${exporter}.${dataset}`;
        if (!outputs.has(name)) {
          const stream = createWriteStream(join(folder, `${name}.ndjson`), { mode: 0o600 });
          outputs.set(name, { stream, keys: new Set(), records: 0 });
        }
        const entry = zip.entries.find((one) => one.name === `${volume.root}/${resource.path}`);
        if (entry) await copied(zip.content(entry), resource.schema?.primaryKey ?? ["id"], outputs.get(name));
      }
    } finally {
      await zip.close();
    }
  }
  for (const { stream } of outputs.values()) {
    stream.end();
    await once(stream, "close");
  }
  return Object.fromEntries([...outputs].map(([name, { records }]) => [name, records]));
}

/** A record with a key that was written before is an older form of it. */
async function copied(content, key, output) {
  const names = [key].flat();
  for await (const line of linesOf(content)) {
    const record = JSON.parse(line);
    const identity = JSON.stringify(names.map((name) => record[name]));
    if (output.keys.has(identity)) continue;
    output.keys.add(identity);
    output.records += 1;
    if (!output.stream.write(`${line}\n`)) await once(output.stream, "drain");
  }
}

async function* linesOf(content) {
  let rest = Buffer.alloc(0);
  for await (const block of content) {
    rest = Buffer.concat([rest, block]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      if (end > 0) yield rest.toString("utf8", 0, end);
      rest = rest.subarray(end + 1);
    }
  }
  if (rest.length) yield rest.toString("utf8");
}
