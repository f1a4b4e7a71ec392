// node schemas.cjs BAG...: compiles each JSON Schema of a bag in strict mode and checks each line of its tables by it.
"use strict";
const { existsSync, readFileSync, readdirSync } = require("node:fs");
const { join } = require("node:path");
const Ajv = require("ajv/dist/2020");
const formats = require("ajv-formats");

let [schemas, records] = [0, 0];
const faults = [];
for (const bag of process.argv.slice(2)) {
  const ajv = formats(new Ajv({ strict: true, allErrors: true, logger: false }));
  const { resources } = JSON.parse(readFileSync(join(bag, "datapackage.json")));
  const checks = {};
  const folder = join(bag, "schemas");
  const paths = existsSync(folder) ? readdirSync(folder, { recursive: true }) : [];
  for (const path of paths.filter((name) => name.endsWith(".json"))) {
    checks[`schemas/${path}`] = ajv.compile(JSON.parse(readFileSync(join(folder, path))));
    schemas += 1;
  }
  for (const resource of resources.filter((one) => one.format === "jsonl")) {
    const check = checks[resource["x-json-schema"]];
    for (const line of readFileSync(join(bag, resource.path), "utf8").split("\n").filter(Boolean)) {
      records += 1;
      if (!check(JSON.parse(line))) faults.push(`${resource.path}: ${ajv.errorsText(check.errors)}`);
    }
  }
}
process.stdout.write(JSON.stringify({ schemas, records, faults: faults.slice(0, 20) }));
