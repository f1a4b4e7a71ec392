"use strict";
/* One part of the data: the datasets of an exporter, as conversations, cards, charts and tables. */
(() => {
  const { h, t, visible, count, moment, extent, own, records } = portability;
  const CARD_RECORDS = 2;
  const FILES_LISTED = 50;

  /* The ids of the parts, in the order of the ledger, with their datasets. */
  function groups() {
    const found = new Map();
    for (const line of portability.export.datasets) {
      if (!found.has(line.exporter)) found.set(line.exporter, []);
    }
    for (const dataset of portability.datasets.values()) {
      if (!found.has(dataset.exporter)) found.set(dataset.exporter, []);
      found.get(dataset.exporter).push(dataset);
    }
    return found;
  }

  const kept = new Map();

  /* A part; `chosen` is the id of a conversation and `item` that of a message, or `record` is a record by [dataset, id]. */
  function group(exporter, { chosen = null, item = null, record = null } = {}) {
    const datasets = groups().get(exporter) ?? [];
    if (!kept.has(exporter)) kept.set(exporter, portability.talks.of(datasets, exporter));
    const talks = kept.get(exporter);
    const shown = record !== null ? single(datasets, ...record) : talks !== null ? portability.panes(talks, chosen, item) : null;
    return h("div", { class: "group" },
      h("h2", {}, visible(portability.group(exporter))),
      shown,
      talks === null ? charts(datasets) : null,
      talks === null ? datasets.map((dataset) => section(dataset, false)) : tables(datasets, shown.ready));
  }

  /* The tables of conversations, drawn after the conversation that was asked for. */
  function tables(datasets, ready) {
    const box = h("details", { class: "tables" }, h("summary", {}, t("tables")));
    ready.then(() => box.append(...datasets.map((dataset) => section(dataset, true))));
    return box;
  }

  /* One record that a link leads to, with all of its fields. */
  function single(datasets, name, id) {
    const dataset = datasets.find((each) => each.name === name);
    const box = h("section", { class: "card single", tabindex: "-1" }, h("p", { class: "note" }, t("searching")));
    const fill = async () => {
      const found = dataset === undefined ? null : await records.find(dataset, id).catch(() => null);
      if (found !== null && dataset.has("file")) await records.findFiles(dataset, [found.part.value(found.row, "file")]);
      box.replaceChildren(...found === null ? [h("p", { class: "note warn" }, t("recordNotHere"))] : [
        h("h3", {}, portability.title(dataset)),
        portability.fieldList(found.part, found.row, { nulls: false }),
        h("p", {}, portability.button(t("related"), () => portability.lookFor(id), { class: "link" })),
      ]);
    };
    return Object.assign(box, { ready: fill() });
  }

  function section(dataset, isPlain) {
    const shown = dataset.lines.length;
    const heading = h("h3", { id: `d-${dataset.id}` }, portability.title(dataset), " ", h("small", { class: "count" }, count(dataset.total)));
    const [text, lang] = portability.read(dataset.about, "description");
    const about = h("p", { class: "about", lang }, visible(text));
    return h("section", { class: "dataset", "aria-labelledby": `d-${dataset.id}` }, heading, about,
      state(dataset),
      shown === 0 ? nothing(dataset)
        : shown <= CARD_RECORDS && dataset.isWhole && !isPlain ? cards(dataset) : portability.table(dataset),
      shown === 0 ? null : extent(dataset),
      loose(dataset));
  }

  function state(dataset) {
    const line = dataset.ledger;
    if (line === null || ["complete", "empty"].includes(line.state)) return null;
    return h("p", { class: "warn" }, portability.pill(line));
  }

  function nothing(dataset) {
    if (dataset.total > 0) return extent(dataset);
    // What was not read is not known to be nothing: the warning above says what it is.
    if (dataset.ledger !== null && !["complete", "empty"].includes(dataset.ledger.state)) return null;
    return h("p", { class: "note" }, t(dataset.about.files.length ? "noRecords" : "nothing"));
  }

  function cards(dataset) {
    return h("div", { class: "cards" }, dataset.rows.map((_, index) => h("div", { class: "card" }, portability.fieldList(dataset, index, { nulls: false }))));
  }

  /* Files that no record names, such as documents made of records. */
  function loose(dataset) {
    const named = new Set(dataset.has("file") ? dataset.rows.map((row) => own(row, "file")) : []);
    const files = dataset.about.files.filter((file) => !named.has(file.name));
    if (files.length === 0) return null;
    const total = files.length + (dataset.about.more ?? 0);
    return h("details", {}, h("summary", {}, `${t("inFiles")} (${count(total)})`),
      h("ul", { class: "paths" }, files.slice(0, FILES_LISTED).map((file) => h("li", {}, portability.link(file), " ", h("small", { class: "note" }, portability.bytes(file.bytes))))),
      total > FILES_LISTED ? h("p", { class: "note" }, t("listed", { n: count(Math.min(FILES_LISTED, files.length)), total: count(total) })) : null);
  }

  function charts(datasets) {
    const of = (name) => datasets.find((dataset) => dataset.name === name && dataset.lines.length > 0);
    const column = (dataset, name) => (dataset?.has(name) ? dataset.rows.map((row) => own(row, name)) : []);
    const figures = [portability.timeline(points(datasets), t("when"))];
    for (const [dataset, name] of [[of("feature_uses"), "feature"], [of("page_views"), "title"], [of("api_timings"), "route"], [of("error_logs"), "error"], [of("tickets"), "status"]]) {
      if (!dataset) continue;
      const counted = dataset.about.sums?.[name] ?? (dataset.isWhole ? portability.tally(column(dataset, name)) : {});
      figures.push(portability.top(named(dataset, name, counted), t("topOf", { title: portability.title(dataset) })));
    }
    for (const [name, shown] of [["devices", ["browser", "operating_system"]], ["ip_addresses", ["address", "city"]]]) {
      const dataset = of(name);
      if (dataset?.has("first_seen_at") && dataset.has("last_seen_at")) figures.push(portability.spans(spanned(dataset, shown), portability.title(dataset)));
    }
    const drawn = figures.filter(Boolean);
    return drawn.length ? h("div", { class: "charts" }, drawn) : null;
  }

  /* Counts by the labels of a field's values, in place of the values. */
  function named(dataset, name, counted) {
    const field = dataset.fields.find((one) => one.name === name);
    const found = {};
    for (const [value, n] of Object.entries(counted)) {
      const shown = portability.labelOf(field ?? {}, value) ?? value;
      found[shown] = (found[shown] ?? 0) + n;
    }
    return found;
  }

  function spanned(dataset, names) {
    return dataset.rows.map((row) => ({
      name: names.map((name) => own(row, name)).filter((v) => typeof v === "string" && v !== "").join(" · ") || "—",
      from: moment(own(row, "first_seen_at")),
      to: moment(own(row, "last_seen_at")),
    }));
  }

  /* When the records of datasets happened, as {at, n}: each record, or where the page lacks some, months and counts.
     A dataset of which neither is known is left out: the beginning of it would look like a decline. */
  function points(datasets, isExact = datasets.every((dataset) => dataset.isWhole)) {
    const dated = datasets.filter((dataset) => dataset.lines.length > 0 && dataset.moment !== null);
    const found = dated.flatMap((dataset) => {
      const months = Object.entries(dataset.about.sums?.[dataset.moment] ?? {});
      if (!isExact && months.length > 0) return months.map(([month, n]) => ({ at: portability.firstOf(month), n })).filter(({ at }) => at !== null);
      if (!dataset.isWhole) return [];
      return dataset.rows.map((row) => moment(own(row, dataset.moment))).filter(Boolean).map((at) => ({ at, n: 1 }));
    });
    return { points: found, isExact };
  }

  Object.assign(portability, { groups, groupPage: group, points });
})();
