"use strict";
/* Conversations: a list on the one side; what was said, and the recording, on the other. */
(() => {
  const { h, t, visible, count, button, prose, moment, time, duration, sentence, pointer } = portability;
  const LIST_ROWS = 50;
  const BUBBLES = 200;
  const SNIPPET_CHARACTERS = 90;
  /* How the datasets of an exporter make conversations. */
  const KINDS = {
    calls: {
      parent: "calls", said: "transcripts", files: "recordings", notes: "analyses", link: "call_id", who: "speaker",
      text: "text", at: "starts_seconds", name: callName, facts: callFacts, heading: "transcript", nothing: "noTranscript", sound: true,
    },
    chats: {
      parent: "conversations", said: "messages", files: "attachments", link: "conversation_id", who: "sender",
      text: "text", at: "sent_at", name: chatName, facts: chatFacts, heading: "messages", nothing: "noMessages",
    },
    inquiries: {
      parent: "inquiries", said: "replies", link: "inquiry_id", who: "author", text: "body", at: "sent_at",
      first: "message", name: chatName, facts: chatFacts, heading: "messages", nothing: "noMessages",
    },
  };
  const MINE = /^(contact|customer|caller|requester|user|visitor)$/;

  /* What a group's datasets make, or null where they are others than this page knows. */
  function talk(datasets, tab) {
    const kind = Object.hasOwn(KINDS, tab) ? KINDS[tab] : null;
    const of = (name) => datasets.find((dataset) => dataset.name === name) ?? null;
    if (kind === null || !of(kind.parent)?.has("id") || of(kind.parent).lines.length === 0) return null;
    const said = of(kind.said);
    const known = said !== null && [kind.link, kind.who, kind.text].every((name) => said.has(name));
    const talks = { kind, tab, parent: of(kind.parent), said: known ? said : null, files: of(kind.files), notes: of(kind.notes), shown: LIST_ROWS, query: "" };
    for (const child of ["said", "files", "notes"]) talks[`${child}Of`] = children(talks[child], kind.link);
    return talks;
  }

  function children(dataset, link) {
    const found = new Map();
    if (!dataset?.has(link)) return found;
    dataset.rows.forEach((_, index) => {
      const id = dataset.value(index, link);
      if (!found.has(id)) found.set(id, []);
      found.get(id).push(index);
    });
    return found;
  }

  const field = (talks, index, name) => talks.parent.value(index, name);
  const string = (found) => (typeof found === "string" && found.trim() !== "" ? found : null);

  function callName(talks, index) {
    const out = field(talks, index, "direction") === "outbound";
    const number = string(field(talks, index, out ? "called_number" : "caller_number"));
    return [t(out ? "outbound" : field(talks, index, "direction") === "inbound" ? "inbound" : "call"), number].filter(Boolean).join(" · ");
  }

  function callFacts(talks, index) {
    const seconds = field(talks, index, "duration_seconds");
    return [typeof seconds === "number" ? duration(seconds) : null, ...["status", "outcome"].map((n) => string(field(talks, index, n)))];
  }

  function chatName(talks, index) {
    return string(field(talks, index, "subject")) ?? t("untitled");
  }

  function chatFacts(talks, index) {
    return ["channel", "status", "department"].map((name) => string(field(talks, index, name)));
  }

  const line = (parts) => parts.filter(Boolean).map((part) => portability.label(part).slice(0, 80)).join(" · ");
  const begin = (text) => (text.length > SNIPPET_CHARACTERS ? `${text.slice(0, SNIPPET_CHARACTERS)}…` : text);

  function newestFirst(talks) {
    const at = (index) => moment(field(talks, index, talks.parent.moment))?.getTime() ?? 0;
    return [...talks.parent.rows.keys()].sort((a, b) => at(b) - at(a) || a - b);
  }

  function matching(talks) {
    if (talks.query === "") return newestFirst(talks);
    const own = new Set(talks.parent.find(talks.query));
    const said = new Set((talks.said?.find(talks.query) ?? []).map((index) => talks.said.value(index, talks.kind.link)));
    return newestFirst(talks).filter((index) => own.has(index) || said.has(field(talks, index, "id")));
  }

  /* The two panes; `chosen` is the id of the open conversation, null for the list alone on a narrow screen. */
  function panes(talks, chosen) {
    const rows = newestFirst(talks);
    const index = chosen === null ? rows[0] : rows.find((row) => String(field(talks, row, "id")) === chosen) ?? rows[0];
    const list = h("ol", { class: "talks" });
    const status = h("p", { class: "status", role: "status" });
    const more = button("", () => { talks.shown += LIST_ROWS; draw(); }, { class: "link" });
    function draw() {
      const found = matching(talks);
      list.replaceChildren(...found.slice(0, talks.shown).map((row) => entry(talks, row, row === index)));
      status.textContent = found.length === 0 ? t("noResults") : t("foundList", { n: count(found.length), total: count(rows.length) });
      more.hidden = found.length <= talks.shown;
      more.textContent = t("showMore", { n: count(Math.min(LIST_ROWS, found.length - talks.shown)) });
    }
    const input = h("input", { type: "search", placeholder: t("filter"), "aria-label": t("filter"), value: talks.query });
    input.addEventListener("input", () => { talks.query = input.value; talks.shown = LIST_ROWS; draw(); });
    draw();
    return h("div", { class: chosen === null ? "panes" : "panes chosen" },
      h("div", { class: "list" }, input, status, list, more, portability.extent(talks.parent)),
      h("article", { class: "talk", tabindex: "-1" }, conversation(talks, index)));
  }

  function entry(talks, index, isOpen) {
    const id = String(field(talks, index, "id"));
    const last = talks.saidOf.get(field(talks, index, "id"))?.at(-1);
    const said = last === undefined ? null : string(talks.said.value(last, talks.kind.text));
    return h("li", {}, h("a", { href: `#${talks.tab}/${encodeURIComponent(id)}`, "aria-current": isOpen ? "true" : null },
      h("span", { class: "row" }, h("strong", { dir: "auto" }, visible(begin(talks.kind.name(talks, index)))), time(field(talks, index, talks.parent.moment), "day")),
      h("small", { dir: "auto" }, visible(line(talks.kind.facts(talks, index)))),
      said === null ? null : h("small", { class: "snippet", dir: "auto" }, visible(begin(said)))));
  }

  function conversation(talks, index) {
    const { kind } = talks;
    const id = field(talks, index, "id");
    const players = recordings(talks, id);
    return [
      h("a", { href: `#${talks.tab}`, class: "back" }, `← ${t("back")}`),
      h("header", {},
        h("h3", { dir: "auto" }, visible(kind.name(talks, index))),
        h("p", { class: "note" }, time(field(talks, index, talks.parent.moment)), " · ", h("bdi", {}, visible(line(kind.facts(talks, index)))))),
      kind.sound ? h("section", { class: "sound" }, players.length ? players : h("p", { class: "note" }, t("noRecording"))) : null,
      h("h4", {}, t(kind.heading)),
      speech(talks, index, players.flatMap((box) => [...box.querySelectorAll("audio")])[0] ?? null),
      kind.sound ? null : loose(talks, id),
      conclusions(talks, id),
      h("details", {}, h("summary", {}, t("allFields")), portability.fieldList(talks.parent, index)),
    ];
  }

  function recordings(talks, id) {
    if (!talks.kind.sound) return [];
    return (talks.filesOf.get(id) ?? []).map((index) => h("div", {}, fileOf(talks, index)));
  }

  /* The file of a record of recordings or attachments, or why there is none. */
  function fileOf(talks, index) {
    const name = talks.files.value(index, "file");
    if (talks.files.files.has(name)) return portability.value(talks.files, index, { name: "file", type: "string" }, { preload: "metadata" });
    const gap = portability.export.gaps.find((g) => g.exporter === talks.files.exporter && typeof g.what === "string"
      && [name, talks.files.value(index, "id")].some((n) => g.what === `${talks.files.name}/${n}`));
    return h("p", { class: "note warn" }, t("notHere"), gap ? ` ${portability.word("reasons", gap.reason)}` : null);
  }

  function speech(talks, index, audio) {
    const { kind } = talks;
    const rows = talks.saidOf.get(field(talks, index, "id")) ?? [];
    const own = kind.first && string(field(talks, index, kind.first));
    const first = own ? [bubble(talks, { who: "requester", text: own, at: field(talks, index, talks.parent.moment), dataset: talks.parent, whole: talks.parent.cuts.get(`${index}/${kind.first}`) })] : [];
    if (rows.length + first.length === 0) {
      const rest = talks.said !== null && talks.said.lines.length < talks.said.total;
      return h("p", { class: "note" }, t(kind.nothing), " ", rest ? sentence("notShown", { file: pointer(talks.said) }) : null);
    }
    const list = h("ol", { class: "bubbles" }, first);
    const more = button("", () => draw(), { class: "link" });
    let drawn = 0;
    function draw() {
      list.append(...rows.slice(drawn, drawn + BUBBLES).map((row) => bubble(talks, heard(talks, row), audio)));
      drawn = Math.min(drawn + BUBBLES, rows.length);
      more.hidden = drawn === rows.length;
      more.textContent = t("showMore", { n: count(Math.min(BUBBLES, rows.length - drawn)) });
    }
    draw();
    if (audio !== null) follow(audio, list);
    return h("div", {}, list, more);
  }

  function heard(talks, row) {
    const of = (name) => (talks.said.has(name) ? talks.said.value(row, name) : null);
    const { kind } = talks;
    return {
      who: String(of(kind.who) ?? ""), staff: string(of("staff_id")), text: of(kind.text), at: of(kind.at), dataset: talks.said, whole: talks.said.cuts.get(`${row}/${kind.text}`),
      deleted: of("deleted_at") !== null, edited: of("edited_at") !== null, id: of("id"),
    };
  }

  function bubble(talks, said, audio = null) {
    const mine = MINE.test(said.who);
    const system = said.who === "system";
    const attached = said.id === undefined || talks.kind.sound ? [] : attachments(talks, said.id);
    const marks = [said.edited ? t("edited") : null, said.deleted ? t("deleted") : null].filter(Boolean).join(", ");
    return h("li", { class: system ? "system" : mine ? "mine" : "theirs", "data-at": typeof said.at === "number" ? said.at : null },
      h("div", { class: "said" },
        h("p", { class: "who" }, h("bdi", {}, visible(speaker(said, mine))), " ", when(said.at, audio)),
        h("div", { class: "words" }, said.text === null || said.text === "" ? h("span", { class: "none" }, `(${t(said.text === null ? "noValue" : "empty")})`)
          : prose(String(said.text), { whole: said.whole ?? null, dataset: said.dataset })),
        attached,
        marks ? h("small", { class: "note" }, marks) : null));
  }

  /* A pseudonym stands for a member of staff in a copy for a person; the copy of a company has the id. */
  function speaker({ who, staff }, mine) {
    const tenant = portability.export.subject_kind === "tenant";
    if (mine) return t(tenant ? "contact" : "you");
    const [, kind, number] = /^(Agent|Speaker) ([0-9]+)$/.exec(staff ?? who) ?? [];
    if (kind !== undefined) return `${t(kind === "Agent" ? "humanAgent" : "speaker")} ${number}`;
    if (staff) return `${t("humanAgent")} ${staff}`;
    const known = { ai_agent: "aiAgent", ai: "aiAgent", agent: "humanAgent", human_agent: "humanAgent", human: "humanAgent", system: "system", staff: "staff" };
    return Object.hasOwn(known, who) ? t(known[who]) : portability.label(who);
  }

  function when(at, audio) {
    if (typeof at !== "number") return at === null ? null : time(at);
    const text = duration(at);
    if (audio === null) return h("small", {}, text);
    const jump = () => { audio.currentTime = at; audio.play().catch(() => {}); };
    return button(text, jump, { class: "jump", "aria-label": t("jump", { time: text }) });
  }

  /* Marks what is being said while the recording plays. */
  function follow(audio, list) {
    audio.addEventListener("timeupdate", () => {
      const items = [...list.children].filter((item) => item.dataset.at !== undefined);
      const now = items.filter((item) => Number(item.dataset.at) <= audio.currentTime).at(-1);
      for (const item of items) item.classList.toggle("now", item === now && !audio.paused);
    });
  }

  function attachments(talks, message) {
    if (!talks.files?.has("message_id")) return [];
    talks.byMessage ??= children(talks.files, "message_id");
    return (talks.byMessage.get(message) ?? []).map((index) => attachment(talks, index));
  }

  function attachment(talks, index) {
    const name = talks.files.value(index, "file_name");
    return h("div", { class: "attachment" }, fileOf(talks, index), string(name) ? h("small", { class: "note", dir: "auto" }, visible(begin(name))) : null);
  }

  /* Attachments of a conversation that belong to no message shown. */
  function loose(talks, id) {
    const shown = new Set((talks.saidOf.get(id) ?? []).map((row) => talks.said.value(row, "id")));
    const rows = (talks.filesOf.get(id) ?? []).filter((index) => !shown.has(talks.files.value(index, "message_id")));
    return rows.length ? h("section", {}, h("h4", {}, t("attachments")), rows.map((index) => attachment(talks, index))) : null;
  }

  function conclusions(talks, id) {
    const rows = talks.notesOf.get(id) ?? [];
    if (rows.length === 0) return null;
    const skip = ["id", "tenant_id", talks.kind.link, "created_at"];
    return h("section", { class: "card" }, h("h4", {}, t("conclusions")), rows.map((index) => portability.fieldList(talks.notes, index, { skip, nulls: false })));
  }

  Object.assign(portability, { talk, panes });
})();
