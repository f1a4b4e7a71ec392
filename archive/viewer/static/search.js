"use strict";
/* Search in everything: dataset after dataset, with a pause between, so that the page never stands still. */
(() => {
  const { h, t, visible, count, value } = portability;
  const SHOWN = 3;
  let running = 0;

  function search(query, open) {
    const results = h("div", { class: "results" });
    const status = h("p", { class: "status", role: "status" });
    const left = [...portability.datasets.values()].filter((dataset) => dataset.lines.length > 0);
    running += 1;
    const mine = running;
    let total = 0;
    function step() {
      if (mine !== running) return;
      const dataset = left.shift();
      if (dataset === undefined) {
        status.textContent = total === 0 ? t("noResults") : total === 1 ? t("oneResult") : t("resultsIn", { n: count(total) });
        return;
      }
      const found = dataset.find(query);
      total += found.length;
      if (found.length > 0) results.append(result(dataset, found, query, open));
      setTimeout(step);
    }
    step();
    return h("div", { class: "group" }, h("h2", {}, visible(t("searchFor", { query }))), status, results);
  }

  function result(dataset, found, query, open) {
    const rows = found.slice(0, SHOWN).map((index) => h("li", {}, snippet(dataset, index, query)));
    const go = () => { dataset.view.query = query; dataset.view.page = 0; open(dataset); };
    return h("section", { class: "card" },
      h("h3", {}, portability.button(portability.title(dataset), go, { class: "link" }), " ", h("small", { class: "count" }, count(found.length))),
      h("ul", { class: "snippets" }, rows));
  }

  /* The fields that hold the words, or the first ones. */
  function snippet(dataset, index, query) {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    const holds = (field) => words.some((word) => JSON.stringify(dataset.value(index, field.name) ?? "").toLowerCase().includes(word));
    const fields = dataset.fields.filter(holds).slice(0, 3);
    return fields.map((field) => h("span", {}, h("small", { class: "note" }, portability.columnHead(field)), " ", value(dataset, index, field, { characters: 160 })));
  }

  Object.assign(portability, { search });
})();
