"use strict";
/* While an export is open, its piece of the page is asked for again. When it has ended, the page is loaded anew, or only
   its piece where a form is filled in. Where the session has ended, the page is loaded anew and leads to the login.
   Times are shown in the visitor's own zone, and another language keeps what is typed. Everything works without this
   script. */
const everySeconds = 2;
const restSeconds = 15;

function localTimes(root) {
  const { lang, dataset } = document.documentElement;
  const locale = navigator.languages.find((each) => each.startsWith(`${lang}-`)) ?? dataset.formats;
  for (const each of root.querySelectorAll("time")) {
    const shown = "day" in each.dataset ? { dateStyle: "long" } : { dateStyle: "medium", timeStyle: "short" };
    each.textContent = new Date(each.dateTime).toLocaleString(locale, shown);
  }
  const said = document.querySelector(".foot .zone");
  if (said && root.querySelector("time:not([data-day])")) {
    said.textContent = said.dataset.words.replace("|", Intl.DateTimeFormat().resolvedOptions().timeZone);
    said.hidden = false;
  }
}

const fields = () => [...document.querySelectorAll("main :is(input, select, textarea)")];

function isChanged(field) {
  if (field.matches("[type=checkbox], [type=radio]")) return field.checked !== field.defaultChecked;
  if (!field.matches("select")) return field.value !== field.defaultValue;
  const chosen = [...field.options].findIndex((each) => each.defaultSelected);
  return field.selectedIndex !== Math.max(0, chosen);
}

function isFilledIn() {
  /* What is typed would be lost, and a page that a form has made can only be loaded by sending the form again. */
  return Boolean(document.querySelector("[data-filled]")) || fields().some(isChanged);
}

function keepTyped({ target }) {
  /* Another language loads the page anew: until then this tab keeps what is typed, but no codes and no passwords. */
  const secret = "[type=hidden], [type=password], [type=file], [autocomplete=one-time-code]";
  const typed = isFilledIn() ? fields() : [];
  const kept = typed.map((each) => !each.matches(secret) && [each.name, each.value, each.checked]);
  const { pathname } = new URL(target.elements.next.value, location);
  sessionStorage.setItem("typed", JSON.stringify({ pathname, kept }));
}

function giveBack() {
  const { pathname, kept } = JSON.parse(sessionStorage.getItem("typed") ?? "{}");
  sessionStorage.removeItem("typed");
  if (pathname !== location.pathname) return;
  for (const [index, field] of fields().entries()) {
    const [name, value, checked] = kept[index] || [];
    if (!name || name !== field.name) continue;
    if (field.matches("[type=checkbox], [type=radio]")) field.checked = checked;
    else field.value = value;
    if (isChanged(field)) field.closest("details")?.setAttribute("open", "");
  }
}

async function look(section, etag) {
  const headers = etag ? { "If-None-Match": etag } : {};
  const answer = await fetch(section.dataset.live, { headers, redirect: "manual" });
  if (answer.status === 304) return etag;
  if (answer.type === "opaqueredirect" && !isFilledIn()) location.reload();
  if (!answer.ok) throw new Error(answer.status);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("section");
  localTimes(fresh);
  if (!fresh.dataset.live && isFilledIn()) section.replaceWith(fresh);
  else if (!fresh.dataset.live) location.reload();
  else refresh(section, fresh);
  return answer.headers.get("ETag");
}

function refresh(section, fresh) {
  /* Only what differs is touched: the focus stays, and a screen reader hears a change of state, not every number. */
  for (const selector of ["h2", "[role=status]", "progress", ".small"]) {
    const [old, now] = [section.querySelector(selector), fresh.querySelector(selector)];
    if (!old !== !now || (old && old.hasAttribute("value") !== now.hasAttribute("value"))) return section.replaceWith(fresh);
    if (old && selector === "progress" && now.hasAttribute("value")) old.value = now.value;
    else if (old && old.textContent !== now.textContent) old.textContent = now.textContent;
  }
}

function watch() {
  let etag = null;
  const again = async () => {
    const section = document.querySelector("[data-live]");
    if (!section) return;
    let wait = everySeconds;
    try {
      if (!document.hidden) etag = await look(section, etag);
    } catch {
      wait = restSeconds;
    }
    setTimeout(again, wait * 1000);
  };
  setTimeout(again, everySeconds * 1000);
}

localTimes(document);
watch();
document.querySelector("form.languages")?.addEventListener("submit", keepTyped);
giveBack();
