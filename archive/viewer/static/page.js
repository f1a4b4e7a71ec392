"use strict";
/* Elements, sentences and numbers. Whatever comes from the data goes through `visible` into text nodes. */
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  // Controls, and characters that change the direction of what follows or show nothing.
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/u;
  const EACH_HIDDEN = new RegExp(HIDDEN.source, "gu");
  let language = portability.source;
  let formats = {};

  /* An element; `attributes` may hold `on: {event: listener}`; children are nodes, texts, lists, or null. */
  function h(tag, attributes, ...children) {
    return dressed(document.createElement(tag), attributes, children);
  }

  function svg(tag, attributes, ...children) {
    return dressed(document.createElementNS(SVG, tag), attributes, children);
  }

  function dressed(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
    }
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  }

  /* A text as nodes: what a reader could not see, or what would turn the text around, becomes a sign for it. */
  function visible(text) {
    const tidy = String(text).replace(/\r\n/g, "\n");
    if (!HIDDEN.test(tidy)) return [tidy];
    const nodes = [];
    let from = 0;
    for (const match of tidy.matchAll(EACH_HIDDEN)) {
      nodes.push(tidy.slice(from, match.index), sign(match[0].codePointAt(0)));
      from = match.index + match[0].length;
    }
    return [...nodes, tidy.slice(from)];
  }

  function sign(code) {
    const name = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
    const picture = code < 0x20 ? String.fromCodePoint(0x2400 + code) : code === 0x7f ? "\u2421" : name;
    return h("span", { class: "control", title: name }, picture);
  }

  function t(key, values = {}) {
    return portability.languages[language].strings[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  }

  /* A sentence whose placeholders are nodes. */
  function sentence(key, values) {
    return portability.languages[language].strings[key]
      .split(/\{(\w+)\}/)
      .map((part, place) => (place % 2 ? values[part] : part));
  }

  function word(kind, code) {
    const table = portability.languages[language][kind];
    return Object.hasOwn(table, code) ? table[code] : code;
  }

  /* `started_at` as "Started at": a name made readable. */
  function label(name) {
    const text = name.replaceAll("_", " ").replace(/\b(id|ip|url|urls|mfa|ai|api|sha256)\b/g, (w) => w.toUpperCase());
    return text.charAt(0).toUpperCase() + text.slice(1);
  }

  /* The head of a field's column: its name in the reader's language, else made readable. */
  const columnHead = (field) => {
    const name = word("columns", field.name);
    return name === field.name ? label(name) : name;
  };

  const group = (exporter) => {
    const source = (portability.export.sources ?? []).find((one) => one.exporter === exporter);
    return source ? read(source, "title")[0] : label(exporter);
  };
  /* A text of the data in the reader's language, where it has one: [text, its language]. */
  const read = (about, name) => {
    const translated = about.translations?.[name]?.[language];
    return translated ? [translated, language] : [about[name], portability.source];
  };
  const title = (dataset) => {
    const known = dataset.about ?? portability.datasets.get(`${dataset.exporter}.${dataset.dataset}`)?.about ?? dataset;
    return read(known, "title")[0] || label(dataset.dataset);
  };

  function speak(wanted) {
    language = wanted;
    /* Dates and numbers as in the reader's region: the browser's first tag of the language, such as en-GB. */
    const region = (navigator.languages ?? []).find((tag) => tag.split("-")[0] === wanted) ?? wanted;
    const full = { dateStyle: "medium", timeStyle: "short" };
    formats = {
      time: new Intl.DateTimeFormat(region, full),
      day: new Intl.DateTimeFormat(region, { dateStyle: "medium" }),
      date: new Intl.DateTimeFormat(region, { dateStyle: "medium", timeZone: "UTC" }),
      month: new Intl.DateTimeFormat(region, { month: "short", year: "numeric" }),
      clock: new Intl.DateTimeFormat(region, { hour: "2-digit", minute: "2-digit" }),
      count: new Intl.NumberFormat(region),
      number: new Intl.NumberFormat(region, { useGrouping: "min2" }),
      sizes: SIZES.map((unit) => new Intl.NumberFormat(region, { style: "unit", unit, unitDisplay: unit === SIZES[0] ? "long" : "short" })),
    };
    document.documentElement.lang = language;
  }

  const LIKE_A_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;

  /* The moment of an RFC 3339 text, or null for anything else. */
  function moment(text) {
    if (typeof text !== "string" || !LIKE_A_TIME.test(text)) return null;
    const found = new Date(text);
    return Number.isNaN(found.getTime()) ? null : found;
  }

  /* <time>, in the reader's zone, with the exact text behind it. */
  function time(text, format = "time") {
    const found = moment(text);
    if (found === null) return text === null ? "—" : h("bdi", {}, visible(text));
    return h("time", { datetime: text, title: text }, formats[format].format(found));
  }

  const count = (n) => formats.count.format(n);

  const SIZES = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

  /* A count of bytes in the largest unit that fits, below 100 with one decimal, rounded half up: as portability/locale/values.py. */
  function bytes(n) {
    const power = Math.max(0, SIZES.findIndex((_, place) => 2 * n < 1999 * 1000 ** place || place === SIZES.length - 1));
    const unit = 1000 ** power;
    const tenths = Math.floor((20 * n + unit) / (2 * unit));
    const shown = tenths < 1000 ? tenths / 10 : Math.floor((2 * n + unit) / (2 * unit));
    return formats.sizes[power].format(shown);
  }

  function duration(seconds) {
    const whole = Math.round(seconds);
    const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    return (parts[0] ? parts : parts.slice(1)).map((n, place) => (place ? String(n).padStart(2, "0") : n)).join(":");
  }

  function button(text, click, attributes = {}) {
    return h("button", { type: "button", ...attributes, on: { click } }, text);
  }

  /* Words for paper alone, where the controls of the page are not printed. */
  const paper = (...words) => h("small", { class: "paper" }, words);

  /* What to say where nothing was found: `missing` are the volumes that could not be searched. */
  const nothingFound = (missing) => t(missing.size > 0 ? "noResultsHere" : "noResults");
  const toUnpack = (missing) => [...missing].map((volume) => h("p", { class: "note warn" }, t("unpackPart", { volume })));

  const code = (text) => h("code", { dir: "ltr" }, visible(text));

  const PATHS = {
    overview: "M4 11l8-7 8 7v9h-5v-6H9v6H4z", account: "M12 12a4 4 0 100-8 4 4 0 000 8zM4 20c1-4 4-6 8-6s7 2 8 6",
    billing: "M3 6h18v12H3zM3 10h18M7 15h4", calls: "M5 4h4l2 5-3 2c1 2 3 4 5 5l2-3 5 2v4c0 1-1 2-2 2C10 20 4 14 3 6c0-1 1-2 2-2z",
    chats: "M4 5h16v11H10l-5 4v-4H4z", interactions: "M4 7h16v3a2 2 0 000 4v3H4v-3a2 2 0 000-4zM14 7v10",
    crm: "M5 4h14v16H5zM9 9h6M9 13h6M3 8h2M3 12h2M3 16h2", inquiries: "M3 6h18v12H3zM3 7l9 7 9-7",
    marketing: "M4 10v4h3l8 5V5l-8 5zM18 9c1 2 1 4 0 6", devices: "M7 3h10v18H7zM11 18h2", usage: "M3 12h4l3-8 4 16 3-8h4",
    performance: "M4 18a8 8 0 1116 0M12 18l4-6", cookies: "M12 3a9 9 0 109 9c-3 0-5-2-5-4-2 0-4-2-4-5zM9 10v1M10 15v1M15 14v1",
    trail: "M2 12c3-5 6-7 10-7s7 2 10 7c-3 5-6 7-10 7s-7-2-10-7zM12 9a3 3 0 100 6 3 3 0 000-6z",
    configuration: "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4", portability: "M12 3v11M8 10l4 4 4-4M4 16v4h16v-4",
    other: "M4 8l8-4 8 4v8l-8 4-8-4zM4 8l8 4 8-4M12 12v8",
  };

  function icon(name) {
    const path = Object.hasOwn(PATHS, name) ? PATHS[name] : PATHS.other;
    return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" }, svg("path", { d: path }));
  }

  Object.assign(portability, {
    h, svg, visible, t, sentence, word, label, columnHead, group, title, read, speak, moment, time, count, bytes, duration, button, paper, code, icon, nothingFound, toUnpack,
    format: (kind, value) => formats[kind].format(value),
    parts: (number) => formats.count.formatToParts(number),
  });
  Object.defineProperty(portability, "language", { get: () => language });
})();
