"use strict";
/* The one global name. Data scripts call `translate`, `begin` and `add`; the other scripts hang their functions on it. */
const portability = (() => {
  const own = (record, name) => (Object.hasOwn(record, name) ? record[name] : null);

  /* One dataset: what it is, its first records, and where all of them are. Records are parsed on first use. */
  class Dataset {
    constructor(about, lines) {
      this.about = about;
      this.exporter = about.exporter;
      this.name = about.dataset;
      this.id = `${about.exporter}.${about.dataset}`;
      this.fields = about.fields;
      this.lines = lines;
      this.view = { query: "", sort: null, down: false, page: 0, all: false };
      this.cuts = new Map(about.cuts.map(([row, field, characters]) => [`${row}/${field}`, characters]));
      this.files = new Map();
      for (const file of about.files) {
        if (file.name === null) continue;
        this.files.set(file.name, [...(this.files.get(file.name) ?? []), file]);
      }
    }

    get rows() {
      this.parsed ??= this.lines.map((line) => JSON.parse(line));
      return this.parsed;
    }

    get texts() {
      this.searched ??= this.rows.map((row) => words(Object.values(row)).toLowerCase());
      return this.searched;
    }

    get ledger() {
      const mine = portability.export.datasets.filter((l) => l.exporter === this.exporter && l.dataset === this.name);
      return mine.find((line) => line.state !== "needs_instruction") ?? mine[0] ?? null;
    }

    get total() {
      return Math.max(this.ledger?.records ?? 0, this.lines.length);
    }

    value(index, name) {
      return own(this.rows[index], name);
    }

    has(name) {
      return this.fields.some((field) => field.name === name);
    }

    /* Indices of the records that hold every word of a query. */
    find(query) {
      const wanted = query.toLowerCase().split(/\s+/).filter(Boolean);
      const found = [];
      this.texts.forEach((text, index) => {
        if (wanted.every((word) => text.includes(word))) found.push(index);
      });
      return found;
    }

    /* The field that tells when a record happened, if there is one. */
    get moment() {
      if (this.found === undefined) {
        const times = this.fields.filter((field) => field.type === "datetime" || field.type === "date");
        const late = /^(created|updated|retained|closed|ended|deleted|removed|expires|email_|phone_)/;
        const filled = (field) => this.rows.some((row) => own(row, field.name) !== null);
        const best = times.find((field) => !late.test(field.name) && filled(field));
        this.found = best?.name ?? times.find((field) => field.name === "created_at")?.name ?? null;
      }
      return this.found;
    }
  }

  function words(value) {
    if (value === null || value === undefined) return "";
    if (Array.isArray(value)) return value.map(words).join(" ");
    if (typeof value === "object") return words(Object.entries(value).flat());
    return String(value);
  }

  return {
    export: null,
    source: null,
    languages: {},
    datasets: new Map(),
    own,
    /* Sentences of every language, and the language in which the texts of the data were written. */
    translate(json) {
      Object.assign(this, JSON.parse(json));
    },
    begin(json) {
      this.export = JSON.parse(json);
    },
    add(json, lines) {
      const dataset = new Dataset(JSON.parse(json), lines);
      this.datasets.set(dataset.id, dataset);
    },
  };
})();
