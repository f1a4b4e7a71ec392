"use strict";
/* The first page: who, what, when, whether it is complete, and what is missing and why. */
(() => {
  const { h, t, visible, sentence, word, count, bytes, time, code, own, company } = portability;
  const READY = ["complete", "with_remarks", "empty"];

  /* The name of the person or company, where the data itself tells it. */
  function name() {
    const tenant = portability.export.subject_kind === "tenant";
    const places = [["account.profile", "full_name"], ["crm.contacts", "full_name"], ["account.organisation", "name"]];
    for (const [id, field] of tenant ? places.slice(2) : places) {
      const dataset = portability.datasets.get(id);
      const found = dataset?.has(field) && dataset.lines.length > 0 ? dataset.value(0, field) : null;
      if (typeof found === "string" && found.trim() !== "") return found.length > 80 ? `${found.slice(0, 80)}…` : found;
    }
    return t(tenant ? "companyData" : "yourData");
  }

  function overview() {
    const about = portability.export;
    return h("div", { class: "overview" }, hero(about), verdict(about), tiles(about),
      h("div", { class: "cards two" }, glance("account.profile"), glance("account.organisation"), portability.datasets.get("account.profile")?.lines.length ? null : glance("crm.contacts")),
      h("div", { class: "charts", id: "when" }),
      portability.summary.contents(about),
      portability.waiting(about), missing(about), portability.summary.undelivered(about), ledger(about), coverage(about), leftOut(about), withheld(about), facts(about), questions(about));
  }

  function hero(about) {
    const profile = word("strings", about.profile);
    return h("header", { class: "hero" },
      h("p", { class: "eyebrow" }, visible(profile)),
      h("h2", { class: "name", dir: "auto" }, visible(name())),
      h("p", { class: "note" }, sentence("from", { issuer: h("bdi", {}, visible(about.brand || host(about.issuer))) }), " · ", sentence("made", { time: time(about.produced_at) })),
      portability.summary.period(about) ? h("p", { class: "note" }, portability.summary.period(about)) : null);
  }

  const host = (url) => String(url).replace(/^https?:\/\//, "").replace(/\/$/, "");

  function verdict(about) {
    const asked = about.datasets.filter((line) => line.state === "needs_instruction");
    const tenants = [...new Set(asked.flatMap((line) => line.tenants ?? []))].map(company);
    const answers = {
      nothing_held: ["calm", "noData", "noDataLong"], none: ["calm", "referred", "referredLong"], partial: ["bad", "partly", "partlyLong"],
      with_remarks: ["good", "remarks", "remarksLong"], complete: ["good", "complete", "completeLong"],
    };
    const isOwnComplete = asked.length > 0 && ["complete", "with_remarks"].includes(about.outcome.own);
    const [kind, head, text] = isOwnComplete ? ["good", "completeOwn", "completeAsk"] : answers[about.outcome.own] ?? answers.partial;
    return [
      mismatches(about) ?? h("div", { class: `verdict ${kind}` }, h("strong", {}, t(head)), " ", h("span", {}, t(text))),
      asked.length === 0 ? null : h("div", { class: "verdict bad" }, h("strong", {}, t("ask")), " ",
        h("span", {}, sentence("askLong", { tenants: h("bdi", {}, visible(tenants.join(", "))) }))),
      about.waiting.length === 0 ? null : h("div", { class: "verdict bad" }, h("strong", {}, t("waits")), " ", h("span", {}, t("waitsLong"))),
    ];
  }

  /* Datasets whose pieces have another number of records than the ledger; JSON Lines has each record once. */
  function mismatches(about) {
    const stated = (dataset) => about.datasets.filter((line) => line.exporter === dataset.exporter && line.dataset === dataset.about.dataset)
      .reduce((total, line) => total + line.records + (line.corrections ?? 0), 0);
    const wrong = [...portability.datasets.values()].filter((dataset) => {
      const pieces = dataset.about.pieces;
      const exact = pieces.filter((piece) => piece.path.endsWith(".jsonl"));
      if (dataset.about.more > 0 || (exact.length === 0 && pieces.length > 0)) return false;
      return exact.reduce((total, piece) => total + piece.records, 0) !== stated(dataset);
    });
    if (wrong.length === 0) return null;
    return h("div", { class: "verdict bad" }, h("strong", {}, t("miscounted")), " ",
      h("span", {}, sentence("miscountedLong", { datasets: visible(wrong.map((dataset) => portability.title(dataset)).join(", ")) })));
  }

  function tiles(about) {
    const of = (exporter, dataset) => about.datasets.find((line) => line.exporter === exporter && line.dataset === dataset && line.records > 0)?.records ?? 0;
    const sum = (field) => about.datasets.reduce((total, line) => total + (line[field] ?? 0), 0);
    const all = [
      ["records", count(about.summary?.records ?? sum("records")), null], ["calls", of("calls", "calls") && count(of("calls", "calls")), "calls"],
      ["chats", of("chats", "conversations") && count(of("chats", "conversations")), "chats"],
      ["inquiries", of("inquiries", "inquiries") && count(of("inquiries", "inquiries")), "inquiries"],
      ["files", sum("files") && count(sum("files")), null], ["size", bytes(sum("bytes")), null],
    ];
    return h("ul", { class: "tiles" }, all.filter(([, n]) => n).map(([key, n, tab]) => {
      const inside = [h("span", { class: "big" }, n), h("span", {}, t(key))];
      return h("li", {}, tab ? h("a", { href: `#${tab}` }, inside) : h("div", {}, inside));
    }));
  }

  function glance(id) {
    const dataset = portability.datasets.get(id);
    if (dataset === undefined || dataset.lines.length === 0) return null;
    const skip = ["id", "tenant_id", "company_id", "external_id", "created_at", "updated_at", "email_verified_at", "phone_verified_at", "custom", "data_region", "source", "legal_name"];
    const shown = dataset.fields.filter((f) => !skip.includes(f.name) && dataset.value(0, f.name) !== null);
    return h("section", { class: "card" }, h("h3", {}, h("a", { href: `#${dataset.exporter}` }, portability.title(dataset))),
      h("dl", { class: "facts" }, shown.slice(0, 8).map((field) => h("div", {},
        h("dt", { title: portability.read(field, "description")[0] }, portability.columnHead(field)),
        h("dd", {}, portability.value(dataset, 0, field, { characters: 120 }))))));
  }

  /* A state as a coloured word, with its reason and whom to ask. */
  function pill(line) {
    const kind = READY.includes(line.state) ? line.state : "bad";
    const reason = line.reason ? word("reasons", line.reason) : null;
    return [
      h("span", { class: `pill ${kind}` }, visible(word("states", line.state))),
      reason ? h("small", { class: "note" }, visible(reason)) : null,
      ...Object.entries(line.remarks ?? {}).filter(([, n]) => n > 0).map(([name, n]) => h("small", { class: "note" }, visible(word("remarks", name).replace("{count}", count(n))))),
      ...redacted(line.redactions ?? {}).map((text) => h("small", { class: "note" }, visible(text))),
      line.tenants?.length ? h("small", { class: "note" }, visible(line.tenants.map(company).join(", "))) : null,
    ];
  }

  /* A sentence for each rule that replaced values; the rules for secrets of software are one. */
  function redacted(redactions) {
    const counted = new Map();
    for (const [rule, n] of Object.entries(redactions)) {
      const code = word("redactions", rule) === rule ? "secret" : rule;
      counted.set(code, (counted.get(code) ?? 0) + n);
    }
    return [...counted].filter(([, n]) => n > 0).map(([code, n]) => word("redactions", code).replace("{count}", count(n)));
  }

  /* The ledger's lines, those of one exporter with one result together. */
  function alike(lines) {
    const found = new Map();
    for (const line of lines) {
      const key = JSON.stringify([line.exporter, line.state, line.reason ?? null, line.tenants ?? null, line.redactions ?? null, line.remarks ?? null]);
      found.set(key, [...(found.get(key) ?? []), line]);
    }
    return [...found.values()];
  }

  function ledger(about) {
    const rows = alike(about.datasets).map((lines) => {
      const sum = (field) => lines.reduce((total, line) => total + (line[field] ?? 0), 0);
      const titles = lines.map((line) => (line.records ? `${portability.title(line)} (${count(line.records)})` : portability.title(line)));
      return h("tr", { role: "row" },
        h("th", { scope: "row", role: "rowheader" }, h("a", { href: `#${encodeURIComponent(lines[0].exporter)}` }, visible(portability.group(lines[0].exporter))),
          h("span", { class: "parts" }, visible(titles.join(", ")))),
        h("td", { role: "cell" }, pill(lines[0])),
        ["records", "files", "gaps"].map((field) => h("td", { class: "number", role: "cell" }, sum(field) ? count(sum(field)) : "–")));
    });
    const heads = [["data"], ["result"], ["records", "number"], ["files", "number"], ["gaps", "number"]];
    return h("section", { "aria-labelledby": "ledger" }, h("h3", { id: "ledger" }, t("lookedFor")),
      h("div", { class: "wide", tabindex: "0", role: "group", "aria-labelledby": "ledger" }, h("table", { class: "ledger", role: "table" },
        h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map(([key, kind]) => h("th", { scope: "col", role: "columnheader", class: kind }, t(key))))),
        h("tbody", { role: "rowgroup" }, rows))));
  }

  function missing(about) {
    if (about.gaps.length === 0) return null;
    const rows = about.gaps.slice(0, 200).map((gap) => h("tr", {},
      h("td", {}, visible(portability.title(gap))),
      h("td", {}, h("code", { dir: "auto" }, visible(String(gap.what)))),
      h("td", {}, visible(word("reasons", gap.reason)), gap.retryable ? h("small", { class: "note" }, t("retry")) : null)));
    return h("section", { "aria-labelledby": "missing" }, h("h3", { id: "missing" }, t("missing")),
      h("div", { class: "wide", tabindex: "0", role: "group", "aria-labelledby": "missing" }, h("table", {},
        h("thead", {}, h("tr", {}, ["data", "what", "why"].map((key) => h("th", { scope: "col" }, t(key))))), h("tbody", {}, rows))),
      about.gaps_total > rows.length ? h("p", { class: "note" }, sentence("moreGaps", {
        n: count(rows.length), total: count(about.gaps_total), file: h("a", { href: "export.json" }, code("export.json")) })) : null);
  }

  /* Sources that store what no one has decided on, or that cannot say what they store. */
  function coverage(about) {
    const open = (about.coverage ?? []).filter((one) => one.state !== "complete");
    const note = (key, one, n) => h("p", { class: "note" }, sentence(key, { source: code(one.source), n: count(n) }));
    return open.flatMap((one) => {
      const rows = one.tenantless ?? 0;
      if (one.state !== "undecided") return [note("coverageUnknown", one, 0)];
      return [one.undecided > rows ? note("undecidedColumns", one, one.undecided - rows) : null, rows ? note("tenantless", one, rows) : null];
    });
  }

  function leftOut(about) {
    const reasons = new Map();
    for (const left of about.not_included ?? []) reasons.set(left.reason, [...(reasons.get(left.reason) ?? []), left]);
    if (reasons.size === 0) return null;
    const named = portability.title;
    return h("section", { "aria-labelledby": "left" }, h("h3", { id: "left" }, t("notIncluded")),
      h("dl", { class: "left" }, [...reasons].map(([reason, lefts]) => h("div", {},
        h("dt", {}, visible(word("reasons", reason))),
        h("dd", {}, visible(lefts.map(named).join(", ")))))));
  }

  /* What is stored and described instead of delivered. */
  function withheld(about) {
    const all = about.withheld ?? [];
    if (all.length === 0) return null;
    const byDataset = new Map();
    for (const one of all) byDataset.set(`${one.exporter}.${one.dataset}`, [...(byDataset.get(`${one.exporter}.${one.dataset}`) ?? []), one]);
    const line = (one) => `${portability.read(one, "what")[0]}: ${portability.read(one, "reason")[0]}`;
    return h("section", { "aria-labelledby": "withheld" }, h("h3", { id: "withheld" }, t("withheld")),
      h("p", { class: "note" }, t("withheldLong")),
      h("dl", { class: "left" }, [...byDataset.values()].map((ones) => h("div", {},
        h("dt", {}, visible(portability.title(ones[0]))),
        ones.map((one) => h("dd", { lang: portability.read(one, "what")[1] }, visible(line(one))))))));
  }

  function facts(about) {
    const period = about.since || about.until ? h("span", {}, about.since ? time(about.since) : t("open"), " – ", about.until ? time(about.until) : t("open")) : null;
    const rows = [["exportId", code(about.export)], ["subject", code(about.subject)], ["asked", time(about.requested_at ?? null)],
      ["began", time(about.began_at ?? null)], ["ended", time(about.ended_at ?? null)], ["period", period], ["revision", about.revision > 1 ? count(about.revision) : null]];
    const volumes = about.volumes ?? [];
    return h("section", { "aria-labelledby": "about" }, h("h3", { id: "about" }, t("about")),
      h("dl", { class: "facts card" }, rows.filter(([, node]) => node !== null).map(([key, node]) => h("div", {}, h("dt", {}, t(key)), h("dd", {}, node)))),
      volumes.length < 2 ? null : h("details", { open: volumes.length < 6 }, h("summary", {}, `${t("volumes")} (${count(about.volumes_total)})`),
        h("p", { class: "note" }, t("volumesLong")),
        h("ul", { class: "paths" }, volumes.map((volume) => h("li", {}, code(volume.name), " ",
          h("small", { class: "note" }, volume.name === about.name ? t("thisVolume") : bytes(own(volume, "bytes") ?? 0)))))));
  }

  function questions(about) {
    const contact = h("bdi", {}, visible(String(about.contact ?? host(about.issuer))));
    return h("section", { class: "card ask", "aria-labelledby": "ask" }, h("h3", { id: "ask" }, t("questions")),
      h("p", {}, sentence("questionsLong", { contact, id: code(about.export) })),
      about.notice ? h("p", {}, h("a", { href: `notice.html#${portability.language}` }, t("notice"))) : null);
  }

  /* The timeline of everything, once the page stands: it may have to read many records, dataset after dataset with a
     pause between, so that the page never stands still. */
  function drawWhen() {
    const place = document.getElementById("when");
    const all = [...portability.datasets.values()];
    const exact = all.every((dataset) => dataset.isWhole);
    const left = [...all];
    const found = [];
    function step() {
      if (place === null || !place.isConnected) return;
      const dataset = left.shift();
      if (dataset !== undefined) {
        found.push(...portability.points([dataset], exact).points);
        setTimeout(step);
        return;
      }
      const chart = portability.timeline({ points: found, isExact: exact }, t("when"));
      if (chart) place.replaceChildren(chart);
    }
    setTimeout(step);
  }

  Object.assign(portability, { overview, drawWhen, pill, subjectName: name });
})();
