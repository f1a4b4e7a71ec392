"use strict";
/* What the export contains, by kind, with its time; and what is not delivered, and why. The texts come in every language. */
(() => {
  const { h, svg, visible } = portability;
  const HEIGHT = 24;

  const texts = (about) => about.summary?.texts[portability.language] ?? null;

  /* The name of the time of the records, for the first lines of the page. */
  function period(about) {
    const one = texts(about);
    return one?.period ? `${one.heads[3]}: ${one.period}` : null;
  }

  function contents(about) {
    const one = texts(about);
    if (one === null || one.kinds.length === 0) return null;
    const heads = [0, 1, 2, ...one.chart ? [4] : []].map((place) => one.heads[place]);
    const isNumber = (place) => (place === 1 || place === 2 ? "number" : null);
    return h("section", { "aria-labelledby": "kinds" }, h("h3", { id: "kinds" }, one.titles.kinds),
      h("div", { class: "wide", tabindex: "0", role: "group", "aria-labelledby": "kinds" }, h("table", { class: "kinds" },
        h("thead", {}, h("tr", {}, heads.map((head, place) => h("th", { scope: "col", class: isNumber(place) }, head)))),
        h("tbody", {}, one.kinds.map((kind) => h("tr", {},
          h("th", { scope: "row" }, kind.exporter ? h("a", { href: `#${encodeURIComponent(kind.exporter)}` }, visible(kind.title)) : kind.title,
            h("small", { class: "note" }, kind.period)),
          h("td", { class: "number" }, kind.records), h("td", { class: "number" }, kind.files),
          one.chart ? h("td", {}, bars(kind.bars)) : null))))),
      about.summary.pdf ? h("p", { class: "note" }, h("a", { href: about.summary.pdf.path, hreflang: about.summary.pdf.language }, one.titles.pdf)) : null);
  }

  /* Small bars; their row has the sum and the time in words. */
  function bars(heights) {
    const path = heights.map((part, place) => (part ? `M${place * 10 + 1} ${HEIGHT}v${-part * HEIGHT}h8v${part * HEIGHT}z` : "")).join("");
    const box = { viewBox: `0 0 ${heights.length * 10} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" };
    return svg("svg", { class: "spark", ...box }, svg("path", { class: "bar", d: path }));
  }

  function undelivered(about) {
    const one = texts(about);
    if (one === null || one.undelivered.length === 0) return null;
    return h("section", { class: "card", "aria-labelledby": "undelivered" }, h("h3", { id: "undelivered" }, one.titles.undelivered),
      h("dl", { class: "left" }, one.undelivered.map((group) => h("div", {},
        h("dt", {}, visible(group.why)), group.what ? h("dd", { dir: "auto" }, visible(group.what)) : null))));
  }

  portability.summary = { period, contents, undelivered };
})();
