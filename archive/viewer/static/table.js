"use strict";
/* A dataset as a table: searched, sorted and paged; each row opens to all of its fields. */
(() => {
  const { h, t, visible, count, button, paper, nothingFound, toUnpack, columnHead, value, pointer, sentence, fieldList, records } = portability;
  const pageRows = () => (matchMedia("(max-width: 44rem)").matches ? 10 : 25);
  const COLUMNS_SHOWN = 6;
  const COLUMNS_ON_PAPER = 8;
  const COLLATED_MAX = 20_000;
  // What a reader looks for first, where the declared order does not begin with it.
  const BEST = {
    "billing.invoices": ["number", "issued_on", "status", "total", "currency", "due_on", "paid_at"],
    "billing.subscription": ["plan", "status", "seats", "price", "currency", "started_at"],
    "crm.contacts": ["full_name", "email", "phone", "job_title", "tags", "created_at"],
    "interactions.tickets": ["number", "subject", "status", "priority", "channel", "opened_at"],
    "calls.calls": ["started_at", "direction", "caller_number", "called_number", "duration_seconds", "outcome"],
    "usage.page_views": ["viewed_at", "title", "url", "seconds"],
    "devices.devices": ["kind", "operating_system", "browser", "screen", "first_seen_at", "last_seen_at"],
  };
  const DULL = /^(id|.*_id|sha256|position|legal_hold|retained_until|updated_at|created_at)$/;

  function columns(dataset, all) {
    const isFilled = (field) => dataset.isFilled(field.name);
    // What the first records lack, later records may have.
    if (all) return dataset.isWhole ? dataset.fields.filter(isFilled) : dataset.fields;
    const filled = dataset.fields.filter(isFilled);
    const best = Object.hasOwn(BEST, dataset.id) ? BEST[dataset.id] : null;
    const chosen = best?.map((name) => filled.find((field) => field.name === name)).filter(Boolean) ?? [];
    if (chosen.length > 0) return chosen;
    const telling = filled.filter((field) => !DULL.test(field.name) || field.name === dataset.moment);
    const from = telling.length > 0 ? telling : filled;
    const picked = from.slice(0, COLUMNS_SHOWN);
    const when = from.find((field) => field.name === dataset.moment);
    // When it happened is worth a column even where it is declared last.
    return when === undefined || picked.includes(when) ? picked : [...picked.slice(0, COLUMNS_SHOWN - 1), when];
  }

  /* The order of the rows that a view shows: places of records, or null for all as they are stored. */
  async function ordered(dataset, report, isStopped) {
    const { query, sort, down } = dataset.view;
    const field = dataset.fields.find((f) => f.name === sort);
    if (query === "" && field === undefined) return null;
    const found = [];
    for await (const { place, part, rows, missing } of records.scan(dataset, query)) {
      if (isStopped()) return found;
      if (missing !== null) report.missing.add(missing);
      for (const row of rows) found.push({ place, row, key: field === undefined ? null : part.value(row, sort) });
    }
    if (field === undefined) return found;
    const compare = comparison(field, found.length);
    const filled = found.filter(({ key }) => key !== null);
    filled.sort((a, b) => compare(a.key, b.key) * (down ? -1 : 1) || a.place - b.place || a.row - b.row);
    return [...filled, ...found.filter(({ key }) => key === null)];
  }

  /* References to the records from a place on, as they are stored; those that a correction replaced are left out. */
  async function stored(dataset, from, rows, report) {
    const found = [];
    const corrected = await records.corrections(dataset);
    let begin = 0;
    for (let place = 0; place < records.parts(dataset) && begin < from + rows; place += 1) {
      const size = dataset.isSharded ? dataset.about.shards[place][2] : dataset.lines.length;
      if (begin + size > from) {
        try {
          const part = await records.partOf(dataset, place);
          for (let row = Math.max(from - begin, 0); row < Math.min(size, from + rows - begin); row += 1) {
            if (records.isNewest(corrected, part, place, row)) found.push({ part, row });
          }
        } catch {
          report.missing.add(records.volumeOf(dataset, place));
        }
      }
      begin += size;
    }
    return found;
  }

  /* Texts of many rows are compared by their letters, not by the rules of a language: those take seconds. */
  function comparison(field, rows) {
    if (["integer", "number", "decimal"].includes(field.type)) return (a, b) => Number(a) - Number(b);
    if (field.type === "datetime" || field.type === "date") return (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    if (rows > COLLATED_MAX) return (a, b) => (String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0);
    const { compare } = new Intl.Collator(portability.language, { numeric: true });
    const text = (found) => (typeof found === "object" ? JSON.stringify(found) : String(found)).slice(0, 200);
    return (a, b) => compare(text(a), text(b));
  }

  /* The whole: tools, table, pages, and what the columns mean. Only what changes is drawn again. */
  function table(dataset) {
    const view = dataset.view;
    const title = portability.title(dataset);
    const body = h("div", { class: "wide", tabindex: "0", role: "group", "aria-label": title });
    const status = h("p", { class: "status", role: "status" });
    const extract = paper();
    const warning = h("div", {});
    const pager = h("div", { class: "pager" });
    let [run, order, orderOf, unread] = [0, null, "", new Set()];

    async function draw(focus) {
      run += 1;
      const mine = run;
      const wanted = JSON.stringify([view.query, view.sort, view.down]);
      // A page of an order that is known lacks what the order lacks.
      const report = { missing: new Set(wanted === orderOf ? unread : []) };
      if (wanted !== orderOf) {
        if (!dataset.isWhole) status.textContent = t("searching");
        order = await ordered(dataset, report, () => mine !== run);
        [orderOf, unread] = [wanted, new Set(report.missing)];
      }
      const all = dataset.isSharded ? dataset.about.shards.reduce((sum, [, , n]) => sum + n, 0) : dataset.lines.length;
      const total = order === null ? all : order.length;
      const rows = pageRows();
      const pages = Math.max(Math.ceil(total / rows), 1);
      view.page = Math.min(view.page, pages - 1);
      const from = view.page * rows;
      const shown = order === null ? await stored(dataset, from, rows, report)
        : await Promise.all(order.slice(from, from + rows).map(async ({ place, row }) => ({ part: await records.partOf(dataset, place), row })));
      if (dataset.has("file")) await records.findFiles(dataset, shown.map(({ part, row }) => part.value(row, "file")));
      if (mine !== run) return;
      body.replaceChildren(grid(dataset, shown, title, draw));
      status.textContent = total === 0 ? nothingFound(report.missing)
        : t("page", { from: count(from + 1), to: count(Math.min(from + rows, total)), n: count(total) });
      extract.replaceChildren(...onPaper(dataset));
      warning.replaceChildren(...toUnpack(report.missing));
      const turn = (by) => () => { view.page += by; draw(by < 0 ? "previous" : "next"); };
      pager.replaceChildren(
        button(t("previous"), turn(-1), { "data-focus": "previous", disabled: view.page === 0 }),
        button(t("next"), turn(1), { "data-focus": "next", disabled: view.page >= pages - 1 }),
      );
      pager.hidden = pages === 1;
      const again = focus && [...box.querySelectorAll("[data-focus]")].find((e) => e.dataset.focus === focus && !e.disabled);
      if (again) again.focus();
      else if (focus) body.focus();
    }

    const box = h("div", { class: "tablebox" }, tools(dataset, title, draw), status, extract, warning, body, pager, meanings(dataset));
    draw();
    return box;
  }

  /* What the tools, which are not printed, leave out of the table. */
  function onPaper(dataset) {
    const { query, all } = dataset.view;
    const [shown, total] = [columns(dataset, all).length, columns(dataset, true).length];
    return [
      ...(query === "" ? [] : visible(`${t("paperQuery", { query })} `)),
      ...(shown < total ? [t("paperColumns", { n: count(shown), total: count(total) })] : []),
    ];
  }

  function tools(dataset, title, draw) {
    const view = dataset.view;
    const input = h("input", { type: "search", placeholder: t("search"), "aria-label": t("searchIn", { title }), value: view.query });
    input.addEventListener("input", () => { view.query = input.value; view.page = 0; draw(); });
    const all = h("input", { type: "checkbox", checked: view.all });
    all.addEventListener("change", () => { view.all = all.checked; draw(); });
    const order = h("select", { "aria-label": t("sortBy") }, h("option", { value: "" }, t("asStored")),
      columns(dataset, true).map((field) => h("option", { value: field.name, selected: field.name === view.sort }, columnHead(field))));
    order.addEventListener("change", () => { view.sort = order.value || null; view.down = false; view.page = 0; draw(); });
    return h("div", { class: "tools" }, input,
      h("label", { class: "narrow" }, `${t("sortBy")} `, order),
      columns(dataset, true).length > columns(dataset, false).length ? h("label", { class: "check" }, all, ` ${t("showAllColumns")}`) : null);
  }

  function grid(dataset, found, title, draw) {
    const view = dataset.view;
    const shown = columns(dataset, view.all);
    const head = shown.map((field) => {
      const direction = view.sort !== field.name ? null : view.down ? "descending" : "ascending";
      const sort = () => {
        [view.down, view.sort] = view.sort === field.name ? [!view.down, field.name] : [false, field.name];
        view.page = 0;
        draw(`sort ${field.name}`);
      };
      return h("th", { scope: "col", role: "columnheader", "aria-sort": direction, class: numeric(field) },
        button(h("bdi", {}, visible(columnHead(field))), sort, { title: portability.read(field, "description")[0], class: "sort", "data-focus": `sort ${field.name}` }));
    });
    return h("table", { role: "table", class: shown.length > COLUMNS_ON_PAPER ? "broad" : null },
      h("caption", { class: "unseen" }, title),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, h("th", { role: "columnheader", scope: "col" }, h("span", { class: "unseen" }, t("details"))), head)),
      h("tbody", { role: "rowgroup" }, found.map((ref) => row(ref, shown))));
  }

  const numeric = (field) => (["integer", "number", "decimal"].includes(field.type) ? "number" : null);

  function row({ part, row: index }, shown) {
    const opener = button("", () => toggle(), { class: "opener", "aria-expanded": "false", "aria-label": t("details") });
    const line = h("tr", { role: "row" }, h("td", { role: "cell", class: "open" }, opener), shown.map((field) =>
      h("td", { role: "cell", class: numeric(field), "data-label": columnHead(field) }, value(part, index, field))));
    let opened = null;
    function toggle() {
      if (opened === null) {
        opened = h("tr", { role: "row", class: "opened" }, h("td", { role: "cell", colspan: shown.length + 1 }, fieldList(part, index)));
        line.after(opened);
      } else {
        opened.remove();
        opened = null;
      }
      opener.setAttribute("aria-expanded", String(opened !== null));
    }
    return line;
  }

  function meanings(dataset) {
    return h("details", { class: "meanings" }, h("summary", {}, t("columns")),
      h("dl", { class: "fields" }, dataset.fields.map((field) => h("div", { lang: portability.read(field, "description")[1] },
        h("dt", {}, h("bdi", {}, visible(columnHead(field)))),
        h("dd", {}, visible(portability.read(field, "description")[0]), " ", h("small", { class: "note", lang: portability.language },
          [t(field.provenance), field.third_party ? t("thirdParty") : null].filter(Boolean).join(", ")))))));
  }

  /* How much of a dataset the page shows, and where all of it is. */
  function extent(dataset) {
    const shown = dataset.reach;
    const file = pointer(dataset);
    if (shown > 0 && shown < dataset.total) return h("p", { class: "capped" }, sentence("capped", { n: count(shown), total: count(dataset.total), file }));
    if (dataset.about.pieces.length === 0) return null;
    return h("p", { class: "note" }, sentence("allIn", { file }));
  }

  Object.assign(portability, { table, extent });
})();
