"use strict";
/* The one global name. Data scripts call `translate`, `begin`, `add` and `arrive`; the other scripts hang their functions
   on it. */
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
      this.known = [];
      this.view = { query: "", sort: null, down: false, page: 0, all: false };
      this.cuts = new Map(about.cuts.map(([row, field, characters]) => [`${row}/${field}`, characters]));
      this.files = new Map();
      for (const file of about.files) this.addFile(file);
    }

    addFile(file) {
      if (file.name === null) return;
      const parts = this.files.get(file.name) ?? [];
      if (!parts.some((known) => known.path === file.path)) this.files.set(file.name, [...parts, file]);
    }

    /* The same dataset with the records of one shard, whose lines have the values in the order of the fields. */
    part(place, lines) {
      return Object.assign(Object.create(this), { lines, place, whole: this, cuts: new Map(), known: [] });
    }

    /* One record; each is parsed when it is needed. */
    record(index) {
      this.known[index] ??= this.parsed(JSON.parse(this.lines[index]));
      return this.known[index];
    }

    parsed(line) {
      return this.whole === undefined ? line : Object.fromEntries(line.map((value, place) => [this.fields[place].name, value]));
    }

    get rows() {
      return this.lines.map((_, index) => this.record(index));
    }

    /* Whether a record has a value of a field; the first that has one ends the search. */
    isFilled(name) {
      return this.lines.some((_, index) => own(this.record(index), name) !== null);
    }

    get ledger() {
      const mine = portability.export.datasets.filter((l) => l.exporter === this.exporter && l.dataset === this.name);
      return mine.find((line) => line.state !== "needs_instruction") ?? mine[0] ?? null;
    }

    get total() {
      return Math.max(this.ledger?.records ?? 0, this.lines.length);
    }

    /* Whether the page has all records already. */
    get isWhole() {
      return this.lines.length >= this.total && this.cuts.size === 0;
    }

    /* Whether shards have the records. */
    get isSharded() {
      return (this.about.shards ?? []).length > 0;
    }

    /* The number of records that the page can show. */
    get reach() {
      const rows = (this.about.shards ?? []).reduce((sum, [, , n, corrects]) => sum + (corrects ? 0 : n), 0);
      return Math.max(rows, this.lines.length);
    }

    value(index, name) {
      return own(this.record(index), name);
    }

    has(name) {
      return this.fields.some((field) => field.name === name);
    }

    /* What identifies a record, as a text. */
    key(index) {
      return JSON.stringify(this.about.key.map((name) => String(this.value(index, name))));
    }

    /* The field that tells when a record happened, if there is one. */
    get moment() {
      if (this.found === undefined) {
        const times = this.fields.filter((field) => field.type === "datetime" || field.type === "date");
        const late = /^(created|updated|retained|closed|ended|deleted|removed|expires|email_|phone_|born|birth|closes|due|last_)/;
        const best = times.find((field) => !late.test(field.name) && this.isFilled(field.name));
        this.found = best?.name ?? times.find((field) => field.name === "created_at")?.name ?? null;
      }
      return this.found;
    }
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
