"use strict";
/* What waits for a decision: of an officer on records, or of a company on its data. And what officers have decided. */
(() => {
  const { h, t, visible, word, count, code, own } = portability;

  /* A company by its name, where the data tells it. */
  function company(id) {
    const known = portability.datasets.get("account.organisation");
    const row = known?.has("name") ? known.rows.find((each) => own(each, "id") === id) : undefined;
    const found = row === undefined ? null : own(row, "name");
    return typeof found === "string" && found !== "" ? `${found.slice(0, 80)} (${id})` : id;
  }

  function part(id, title, text, heads, rows) {
    if (rows.length === 0) return null;
    return h("section", { "aria-labelledby": id }, h("h3", { id }, t(title)), h("p", { class: "note" }, t(text)),
      h("div", { class: "wide", tabindex: "0", role: "group", "aria-labelledby": id }, h("table", {},
        h("thead", {}, h("tr", {}, heads.map((key) => h("th", { scope: "col", class: key === "records" ? "number" : null }, t(key))))),
        h("tbody", {}, rows))));
  }

  const number = (n) => h("td", { class: "number" }, count(n));

  function officers(about) {
    return part("officer", "waitsOfficer", "waitsOfficerLong", ["data", "records"], (about.waiting ?? []).map((one) =>
      h("tr", {}, h("td", {}, visible(portability.title(one))), number(one.records))));
  }

  function companies(about) {
    return part("companies", "waitsCompany", "waitsCompanyLong", ["company", "reach", "answer"], (about.referrals ?? []).map((one) =>
      h("tr", {},
        h("td", {}, one.name ? [h("bdi", {}, visible(one.name)), " ", code(one.tenant)] : h("bdi", {}, visible(company(one.tenant)))),
        h("td", {}, one.contact ? h("bdi", {}, visible(one.contact)) : null),
        h("td", {}, visible(word("referrals", one.answer))))));
  }

  function decided(about) {
    return part("decided", "decided", "decidedLong", ["data", "result", "why", "records"], (about.reviews ?? []).map((one) =>
      h("tr", {}, h("td", {}, visible(portability.title(one))), h("td", {}, visible(word("reasons", one.decision))),
        h("td", {}, visible(word("reviews", one.reason))), number(one.records))));
  }

  const waiting = (about) => [officers(about), companies(about), decided(about)];

  Object.assign(portability, { company, waiting });
})();
