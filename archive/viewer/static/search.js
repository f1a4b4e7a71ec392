"use strict";
/* Search in everything: shard after shard; results appear as they are found, and each leads to its place. */
(() => {
  const { h, t, visible, count, button, paper, nothingFound, toUnpack, own, records } = portability;
  const SHOWN = 5;
  const MORE = 50;
  const AROUND = 60;
  const FIELDS = 3;
  const FRAME_EVERY_MS = 250;
  const READ_AHEAD = 40;
  let running = 0;
  let reading = false;

  /* Let the browser draw: it prefers shards that have arrived. A page in the background draws nothing. */
  const drawn = () => new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve));
    setTimeout(resolve, FRAME_EVERY_MS);
  });

  /* The datasets in the order of the search: first what was said, which people look for most. */
  function inOrder() {
    const isSaid = ({ exporter, name }) => (Object.hasOwn(portability.export.talks, exporter) && portability.export.talks[exporter].said === name ? 0 : 1);
    return [...portability.datasets.values()].filter((dataset) => dataset.lines.length > 0).sort((a, b) => isSaid(a) - isSaid(b));
  }

  /* While someone types: read the first shards of the search. */
  async function prepareSearch() {
    const [first] = inOrder();
    if (reading || first === undefined || !first.isSharded) return;
    reading = true;
    let read = 0;
    for await (const text of portability.shards.texts(first)) {
      read += text === null ? 0 : 1;
      if (read === READ_AHEAD) break;
    }
    reading = false;
  }

  function search(query) {
    const results = h("div", { class: "results" });
    const status = h("p", { class: "status", role: "status" });
    const gone = new Set();
    const warning = h("div", {});
    running += 1;
    const mine = running;
    const stop = button(t("stop"), () => { running += 1; stop.hidden = true; }, { class: "link" });
    const searched = inOrder();
    const parts = searched.reduce((sum, dataset) => sum + records.parts(dataset), 0);
    let [total, done, frame] = [0, 0, performance.now()];

    async function run() {
      for (const dataset of searched) {
        let box = null;
        for await (const { place, part, rows, missing } of records.scan(dataset, query)) {
          if (mine !== running) return;
          done += 1;
          if (missing !== null && !gone.has(missing)) {
            gone.add(missing);
            warning.replaceChildren(...toUnpack(gone));
          }
          if (rows.length > 0) {
            box ??= boxed(dataset, query, results);
            box.add(rows.map((row) => ({ place, row })), part);
            total += rows.length;
          }
          status.textContent = t("searched", { n: count(done), total: count(parts) });
          if (box?.hasNew() || performance.now() - frame > FRAME_EVERY_MS) {
            await drawn();
            frame = performance.now();
          }
        }
        await new Promise((resolve) => { setTimeout(resolve); });
        if (mine !== running) return;
      }
      stop.hidden = true;
      status.textContent = total === 0 ? nothingFound(gone) : total === 1 ? t("oneResult") : t("resultsIn", { n: count(total) });
    }

    const box = h("div", { class: "group" }, h("h2", { id: "found" }, visible(t("searchFor", { query }))), h("div", { class: "progress" }, status, stop), warning, results);
    return Object.assign(box, { ready: run() });
  }

  /* The results of one dataset: the first at once, all others on request. */
  function boxed(dataset, query, results) {
    const found = [];
    const list = h("ul", { class: "snippets" });
    const number = h("small", { class: "count" });
    let [shown, seen] = [0, 0];
    const more = button("", async () => { await show(MORE); }, { class: "link", hidden: true });
    const cut = paper();
    async function show(rows, part = null) {
      const some = found.slice(shown, shown + rows);
      shown += some.length;
      for (const { place, row } of some) list.append(hit(part ?? await records.partOf(dataset, place), place, row, query));
      update();
    }
    function update() {
      number.textContent = count(found.length);
      more.hidden = shown >= found.length;
      more.textContent = t("showMore", { n: count(Math.min(MORE, found.length - shown)) });
      cut.hidden = more.hidden;
      cut.textContent = t("paperMore", { n: count(found.length - shown) });
    }
    results.append(h("section", { class: "card" }, h("h3", {}, portability.title(dataset), " ", number), list, more, cut));
    return {
      add(rows, part) {
        found.push(...rows);
        if (shown < SHOWN) show(SHOWN - shown, part);
        else update();
      },
      /* Whether results are shown that were not when this was asked before. */
      hasNew() {
        const isNew = shown > seen;
        seen = shown;
        return isNew;
      },
    };
  }

  /* One result: the words in their context, and the way to the record. */
  function hit(part, place, row, query) {
    const record = part.record(row);
    const words = records.wordsOf(query);
    const holding = part.fields.map((field) => [field, plain(own(record, field.name))]).filter(([, text]) => words.some((word) => records.folded(text).includes(word)));
    const best = holding.filter(([field]) => field.type === "string" && !/(^|_)id$/.test(field.name));
    const shown = (best.length > 0 ? best : holding).slice(0, FIELDS);
    const when = part.moment === null ? null : own(record, part.moment);
    return h("li", {}, h("a", { href: portability.recordAddress(part, place, row) },
      shown.map(([field, text]) => h("span", {}, h("small", { class: "note" }, portability.columnHead(field)), " ", h("span", { dir: "auto" }, marked(text, words)))),
      when === null ? null : h("small", { class: "note" }, portability.time(when))));
  }

  /* The words of a value without the signs of JSON. */
  function plain(value) {
    if (value === null || value === undefined) return "";
    if (Array.isArray(value)) return value.map(plain).join(", ");
    if (typeof value === "object") return Object.entries(value).map(([name, inner]) => `${name}: ${plain(inner)}`).join(", ");
    return String(value);
  }

  /* A text around its first word, with the words marked. */
  function marked(value, words) {
    const text = value.normalize("NFC");
    const low = records.folded(text);
    // Some letters have another length in lower case: then places in `low` are not places in `text`.
    if (low.length !== text.length) return visible(text.slice(0, 2 * AROUND));
    const first = Math.min(...words.map((word) => low.indexOf(word)).filter((at) => at >= 0));
    const from = Math.max(first - AROUND, 0);
    const end = Math.min(first + 2 * AROUND, text.length);
    const nodes = [from > 0 ? "… " : null];
    let at = from;
    while (at < end) {
      const next = words.map((word) => [low.indexOf(word, at), word]).filter(([place]) => place >= 0 && place < end).sort((a, b) => a[0] - b[0] || b[1].length - a[1].length)[0];
      const until = next === undefined ? end : next[0];
      nodes.push(...visible(text.slice(at, until)));
      if (next === undefined) break;
      at = until + next[1].length;
      nodes.push(h("mark", {}, visible(text.slice(until, at))));
    }
    return [...nodes, end < text.length ? " …" : null];
  }

  /* The address of a record: a message in its conversation, a conversation, or the record alone. */
  function recordAddress(part, place, row) {
    const kind = Object.hasOwn(portability.export.talks, part.exporter) ? portability.export.talks[part.exporter] : null;
    const of = (name) => part.value(row, name);
    if (kind !== null && part.name === kind.parent) return `#${part.exporter}/${encodeURIComponent(of("id"))}`;
    if (kind !== null && [kind.said, kind.files, kind.notes].includes(part.name) && of(kind.link) !== null) {
      const item = part.name === kind.said ? of("id") : part.has("message_id") ? of("message_id") : null;
      return `#${part.exporter}/${encodeURIComponent(of(kind.link))}${item === null ? "" : `/${encodeURIComponent(item)}`}`;
    }
    const id = String(of(part.about.key.at(-1)));
    records.remember(part.whole ?? part, id, place, row);
    return `#${encodeURIComponent(part.exporter)}/?${encodeURIComponent(part.name)}/${encodeURIComponent(id)}`;
  }

  Object.assign(portability, { search, prepareSearch, recordAddress });
})();
