"use strict";
/* The frame: language, parts as tabs, what the address names, and the start. */
(() => {
  const { h, t, visible, count, button, icon } = portability;
  const OVERVIEW = "overview";
  const main = h("main", { id: "main", tabindex: "-1" });
  const side = h("header", { class: "side" });
  let query = "";

  const tabs = () => [OVERVIEW, ...portability.groups().keys()];

  /* `#calls/cal_1/seg_2` as {tab, chosen, item}; `#crm/?contacts/con_1` as {tab, record: ["contacts", "con_1"]}. */
  function address() {
    const [tab, ...rest] = location.hash.slice(1).split("/");
    const decoded = (text) => {
      try {
        return decodeURIComponent(text);
      } catch {
        return text;
      }
    };
    const named = decoded(tab);
    const [first, second] = rest.map(decoded);
    const place = rest[0]?.startsWith("?") ? { record: [first.slice(1), second ?? ""] } : { chosen: first || null, item: second ?? null };
    return { tab: tabs().includes(named) ? named : OVERVIEW, chosen: null, item: null, record: null, ...place };
  }

  function drawSide() {
    const { tab: chosen } = address();
    const input = h("input", { type: "search", id: "everywhere", placeholder: t("searchAll"), "aria-label": t("searchAll"), value: query });
    let waiting = null;
    input.addEventListener("input", () => {
      clearTimeout(waiting);
      portability.prepareSearch();
      waiting = setTimeout(() => { query = input.value.trim(); drawMain(); }, 200);
    });
    const tenant = portability.export.subject_kind === "tenant";
    side.replaceChildren(
      h("div", { class: "brand" }, h("h1", {}, h("a", { href: `#${OVERVIEW}` }, t(tenant ? "companyData" : "yourData"))), languages()),
      h("div", { class: "everywhere", role: "search" }, input),
      h("nav", { "aria-label": t("sections") }, h("div", { role: "tablist", "aria-orientation": "vertical", "aria-label": t("sections"), on: { keydown: moveTab } },
        tabs().map((tab) => tabButton(tab, tab === chosen)))),
      h("p", { class: "offline" }, t("offline")));
  }

  function languages() {
    return h("div", { class: "languages", role: "group", "aria-label": t("language") }, Object.entries(portability.languages).map(([code, { name }]) =>
      button(code.toUpperCase(), () => { portability.speak(code); drawAll(); side.querySelector(`.languages [lang=${code}]`).focus(); },
        { lang: code, "aria-label": `${code.toUpperCase()}, ${name}`, title: name, "aria-pressed": String(portability.language === code) })));
  }

  function tabButton(tab, isChosen) {
    const lines = portability.export.datasets.filter((line) => line.exporter === tab);
    // Calls are counted as calls, and not with their segments and recordings.
    const parent = Object.hasOwn(portability.export.talks, tab) ? portability.export.talks[tab].parent : null;
    const counted = lines.some((line) => line.dataset === parent && line.records > 0) ? lines.filter((line) => line.dataset === parent) : lines;
    const records = counted.reduce((sum, line) => sum + (line.records ?? 0), 0);
    const bad = lines.some((line) => !["complete", "with_remarks", "empty"].includes(line.state));
    return button([
      icon(tab), h("span", { class: "label" }, tab === OVERVIEW ? t("overview") : visible(portability.group(tab))),
      tab === OVERVIEW ? null : h("span", { class: bad ? "count bad" : "count", title: bad ? t("partly") : null }, records ? count(records) : "–"),
    ], () => open(tab), {
      role: "tab", id: `tab-${tab}`, "data-tab": tab, "aria-selected": String(isChosen), "aria-controls": "main", tabindex: isChosen ? 0 : -1,
      class: tab !== OVERVIEW && records === 0 ? "hollow" : null,
    });
  }

  /* Arrow keys, Home and End choose among the tabs (WAI-ARIA Authoring Practices, tabs). */
  function moveTab(event) {
    const all = [...side.querySelectorAll("[role=tab]")];
    const here = all.indexOf(document.activeElement);
    const to = { ArrowDown: here + 1, ArrowRight: here + 1, ArrowUp: here - 1, ArrowLeft: here - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || here < 0) return;
    event.preventDefault();
    const next = all[(to + all.length) % all.length];
    open(next.dataset.tab);
    next.focus();
  }

  function open(tab) {
    query = "";
    side.querySelector("#everywhere").value = "";
    const hash = `#${encodeURIComponent(tab)}`;
    if (location.hash === hash) drawMain();
    else location.hash = hash;
  }

  function drawMain() {
    const place = address();
    const { tab } = place;
    main.replaceChildren(query ? portability.search(query) : tab === OVERVIEW ? portability.overview() : portability.groupPage(tab, place));
    if (tab === OVERVIEW && !query) portability.drawWhen();
    for (const each of side.querySelectorAll("[role=tab]")) {
      const isChosen = each.dataset.tab === tab;
      each.setAttribute("aria-selected", String(isChosen && !query)); // results of a search are of all tabs
      each.tabIndex = isChosen ? 0 : -1;
      if (isChosen) main.setAttribute("aria-labelledby", query ? "found" : each.id);
    }
    const name = query || tab === OVERVIEW ? portability.subjectName() : portability.group(tab);
    document.title = `${name} – ${t(portability.export.subject_kind === "tenant" ? "companyData" : "yourData")}`;
  }

  /* Search everything for a text, as if the reader had typed it. */
  function lookFor(text) {
    query = text;
    side.querySelector("#everywhere").value = text;
    drawMain();
    main.focus();
  }

  function drawAll() {
    drawSide();
    drawMain();
    skip.textContent = t("skip");
    zone.textContent = t("times", { zone: Intl.DateTimeFormat().resolvedOptions().timeZone });
  }

  const skip = h("a", { class: "skip", href: "#main", on: { click: (event) => { event.preventDefault(); main.focus(); } } });
  const zone = h("p", { class: "zone" });

  /* The first language of the browser's list that the page has. */
  function preferred() {
    const wanted = (navigator.languages ?? []).map((tag) => {
      try {
        return new Intl.Locale(tag).language; // "in", the former tag of Indonesian, becomes "id"
      } catch {
        return null;
      }
    });
    return wanted.find((code) => Object.hasOwn(portability.languages, code)) ?? portability.source;
  }

  function start() {
    portability.speak(preferred());
    document.body.append(skip, side, h("div", { class: "content" }, main, h("footer", {}, zone)));
    drawAll();
    side.querySelector("[aria-selected=true]").scrollIntoView({ block: "nearest", inline: "center" });
    // A link to where the reader came from changes no address: it ends the search all the same.
    main.addEventListener("click", (event) => {
      if (query === "" || event.target.closest("a")?.getAttribute("href") !== location.hash) return;
      query = "";
      drawMain();
    });
    addEventListener("hashchange", () => {
      query = "";
      drawMain();
      const { tab, chosen, item, record } = address();
      // A chosen conversation gets the focus, so that it can be read; a chosen tab keeps it.
      if (record !== null) main.querySelector(".single")?.focus();
      else if (chosen !== null) main.querySelector(".talk")?.focus({ preventScroll: innerWidth > 700 });
      else if (!side.contains(document.activeElement)) main.focus();
      if (item === null && (chosen === null || innerWidth <= 700)) scrollTo(0, 0);
      document.getElementById(`tab-${tab}`)?.scrollIntoView({ block: "nearest", inline: "center" });
    });
  }

  Object.assign(portability, { lookFor });
  addEventListener("DOMContentLoaded", () => portability.shards.settle().then(start));
})();
