"use strict";
/* The records of a dataset wherever they are: a reference is {part, row}, in a shard or in what the page has anyway. */
(() => {
  const { shards } = portability;

  const parts = (dataset) => (dataset.isSharded ? dataset.about.shards.length : 1);
  const volumeOf = (dataset, place) => dataset.about.shards[place][0];
  const partOf = (dataset, place) => (dataset.isSharded ? shards.part(dataset, place) : Promise.resolve(dataset));
  const isCorrection = (dataset, place) => dataset.isSharded && dataset.about.shards[place][3];

  /* Where the newest form of each corrected record is, by key. Corrections are few, and the last shards. */
  function corrections(dataset) {
    dataset.corrected ??= (async () => {
      const found = new Map();
      for (let place = 0; place < parts(dataset); place += 1) {
        if (!isCorrection(dataset, place)) continue;
        const part = await partOf(dataset, place).catch(() => null);
        part?.lines.forEach((_, row) => found.set(part.key(row), { place, row }));
      }
      return found;
    })();
    return dataset.corrected;
  }

  /* Whether a record was not replaced by a later one. */
  function isNewest(corrected, part, place, row) {
    if (corrected.size === 0) return true;
    const newest = corrected.get(part.key(row));
    return newest === undefined || (newest.place === place && newest.row === row);
  }

  /* A record in its newest form. */
  async function newest(dataset, place, row) {
    const part = await partOf(dataset, place);
    const corrected = await corrections(dataset);
    const found = corrected.size === 0 ? undefined : corrected.get(part.key(row));
    return found === undefined ? { part, row } : { part: await partOf(dataset, found.place), row: found.row };
  }

  function words(value) {
    if (value === null || value === undefined) return "";
    if (Array.isArray(value)) return value.map(words).join(" ");
    if (typeof value === "object") return words(Object.entries(value).flat());
    return String(value);
  }

  /* A text as it is compared: letters with their marks in one form, and \u0130 as the i that people type. */
  const folded = (text) => text.normalize("NFC").toLowerCase().replaceAll("i\u0307", "i");
  const wordsOf = (query) => folded(query).split(/\s+/).filter(Boolean);

  /* A text of JSON is searched before it is parsed: what a word is in a record, its escaped form is in the text. */
  function searcher(query) {
    const wanted = wordsOf(query);
    const escape = (text) => RegExp.escape?.(text) ?? text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
    // No flag of an expression takes \u0130 for an i.
    const pattern = (word) => JSON.stringify(word).slice(1, -1).split("i").map(escape).join("[i\u0130]\u0307?");
    const patterns = wanted.map((word) => new RegExp(pattern(word), "iu"));
    return {
      isEmpty: wanted.length === 0,
      may(text) {
        const found = text.normalize("NFC");
        return patterns.every((each) => each.test(found));
      },
      matches(record) {
        const text = folded(words(Object.values(record)));
        return wanted.every((word) => text.includes(word));
      },
    };
  }

  /* All records, part after part: {place, part, rows, missing}. `query` leaves those that contain each of its words. */
  async function* scan(dataset, query = "") {
    const { isEmpty, may, matches } = searcher(query);
    if (!dataset.isSharded) {
      yield { place: 0, part: dataset, rows: [...dataset.lines.keys()].filter((row) => matches(dataset.record(row))), missing: null };
      return;
    }
    const corrected = await corrections(dataset);
    for await (const [place, text] of shards.texts(dataset)) {
      if (text === null || !may(text)) {
        yield { place, part: null, rows: [], missing: text === null ? volumeOf(dataset, place) : null };
        continue;
      }
      const part = await partOf(dataset, place);
      const all = [...part.lines.keys()];
      const found = isEmpty ? all : all.filter((row) => may(part.lines[row]) && matches(part.record(row)));
      yield { place, part, rows: found.filter((row) => isNewest(corrected, part, place, row)), missing: null };
    }
  }

  /* The record with an identifier, or null. */
  async function find(dataset, id) {
    const known = dataset.seen?.get(id);
    if (known !== undefined) return newest(dataset, known.place, known.row);
    const [name] = dataset.about.key.slice(-1);
    for await (const { part, rows } of scan(dataset, id)) {
      const row = rows.find((each) => String(part.value(each, name)) === id);
      if (row !== undefined) return { part, row };
    }
    return null;
  }

  /* Remember where a record is that the page may open. */
  function remember(dataset, id, place, row) {
    dataset.seen ??= new Map();
    dataset.seen.set(id, { place, row });
  }

  /* Find the files with these names among the lists of files, which are in the order of names. */
  async function findFiles(dataset, names) {
    const listed = dataset.about.fileParts ?? [];
    for (const name of names) {
      if (typeof name !== "string" || dataset.files.has(name)) continue;
      const last = listed.findLastIndex(([first]) => first <= name);
      for (const place of [last - 1, last].filter((each) => each >= 0)) {
        for (const file of await shards.list(listed[place][1])) {
          if (file.name === name) (dataset.whole ?? dataset).addFile(file);
        }
      }
    }
  }

  portability.records = { parts, partOf, volumeOf, isCorrection, corrections, isNewest, newest, scan, find, remember, findFiles, folded, wordsOf };
})();
