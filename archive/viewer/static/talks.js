"use strict";
/* Conversations as data: their list, the newest first, and what belongs to one of them. */
(() => {
  const { records, shards, moment } = portability;
  const SORTED_MAX = 5000;
  const READ_AT_ONCE = 8;
  const string = (found) => (typeof found === "string" && found.trim() !== "" ? found : null);

  /* What the datasets of an exporter make, or null where they are others than this page knows. */
  function talks(datasets, tab) {
    const kind = Object.hasOwn(portability.export.talks, tab) ? portability.export.talks[tab] : null;
    const of = (name) => datasets.find((dataset) => dataset.name === name) ?? null;
    if (kind === null || !of(kind.parent)?.has("id")) return null;
    const said = of(kind.said);
    const known = said !== null && [kind.link, kind.who, kind.text].every((name) => said.has(name));
    const made = { kind, tab, parent: of(kind.parent), said: known ? said : null, files: of(kind.files), notes: of(kind.notes), query: "" };
    made.children = [made.said, made.files, made.notes];
    if (kind.total === 0) made.own = ownEntries(made);
    made.total = kind.total || made.own.length;
    return made.total === 0 ? null : made;
  }

  /* Entries of the records that the page has anyway, for an archive without shards. */
  function ownEntries(made) {
    const { kind, parent } = made;
    const runs = new Map();
    made.children.forEach((dataset, child) => {
      if (!dataset?.has(kind.link)) return;
      dataset.lines.forEach((_, row) => {
        const id = dataset.value(row, kind.link);
        runs.set(id, [...(runs.get(id) ?? []), [child, 0, row, 1]]);
      });
    });
    const entries = parent.lines.map((_, row) => {
      const id = parent.value(row, "id");
      const found = runs.get(id) ?? [];
      const mine = found.filter(([child]) => child === 0);
      const at = kind.moments.map((name) => parent.value(row, name)).find((time) => time !== null) ?? null;
      const first = mine.map(([, , each]) => string(made.said.value(each, kind.text))).find(Boolean);
      const own = kind.first ? string(parent.value(row, kind.first)) : null;
      return [id, at, kind.facts.map((name) => parent.value(row, name)), mine.length, own ?? first ?? null, [0, row], found];
    });
    const time = ([, at]) => moment(at)?.getTime() ?? 0;
    return entries.sort((a, b) => time(b) - time(a));
  }

  const fact = (made, entry, name) => entry[2][made.kind.facts.indexOf(name)] ?? null;

  /* The entries from a place of the list on. */
  async function* entries(made, from = 0) {
    if (made.own) {
      yield* made.own.slice(from);
      return;
    }
    const { parts, size } = made.kind;
    for (let place = Math.floor(from / size); place < parts.length; place += 1) {
      const part = await shards.list(parts[place]);
      yield* part.slice(Math.max(from - place * size, 0));
    }
  }

  /* The entry with an id, or null. */
  async function entryOf(made, id) {
    if (made.own) return made.own.find(([each]) => String(each) === id) ?? null;
    const last = made.kind.ids.findLast(([first]) => first <= id);
    const found = last && (await shards.list(last[1])).find(([each]) => each === id);
    return found ? (await entries(made, found[1]).next()).value : null;
  }

  /* A conversation: its own record, and references to what belongs to it. `missing` are the volumes that are not there. */
  async function read(made, entry) {
    const [, , , , , place, runs] = entry;
    const talk = { entry, missing: new Set(), parent: null, files: [], notes: [] };
    // All its shards are read at once; what fails is noticed below.
    for (const [child, where] of runs.slice(0, READ_AT_ONCE)) records.partOf(made.children[child], where).catch(() => {});
    if (place !== null) {
      talk.parent = await records.newest(made.parent, ...place).catch(() => (talk.missing.add(records.volumeOf(made.parent, place[0])), null));
    }
    const of = (child) => runs.filter(([each]) => each === child);
    [talk.files, talk.notes] = await Promise.all([1, 2].map((child) => all(made.children[child], of(child), talk.missing)));
    if (made.files !== null) await records.findFiles(made.files, talk.files.map(({ part, row }) => part.value(row, "file")));
    const said = of(0);
    const count = said.reduce((sum, [, , , rows]) => sum + rows, 0);
    talk.said = count > SORTED_MAX ? chunks(made.said, said, talk.missing) : [await all(made.said, said, talk.missing)].values();
    talk.count = count;
    return talk;
  }

  /* All records of these runs, each in its newest form and once, in their order. */
  async function all(dataset, runs, missing) {
    const found = [];
    for await (const some of chunks(dataset, runs, missing)) found.push(...some);
    if (dataset?.has("position")) found.sort((a, b) => a.part.value(a.row, "position") - b.part.value(b.row, "position"));
    return found;
  }

  async function* chunks(dataset, runs, missing) {
    const seen = new Set();
    for (const [, place, row, rows] of runs) {
      try {
        const part = await records.partOf(dataset, place);
        const corrected = await records.corrections(dataset);
        const refs = [];
        for (let each = row; each < row + rows; each += 1) {
          const key = corrected.size === 0 ? null : part.key(each);
          if (key !== null && seen.has(key)) continue;
          if (key !== null && corrected.has(key)) {
            seen.add(key);
            refs.push(await records.newest(dataset, place, each));
          } else refs.push({ part, row: each });
        }
        yield refs;
      } catch {
        missing.add(records.volumeOf(dataset, place));
      }
    }
  }

  portability.talks = { of: talks, entries, entryOf, read, fact, string };
})();
