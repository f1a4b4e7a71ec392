"use strict";
/* Conversations: a list on the one side; what was said, and the recording, on the other. */
(() => {
  const { h, t, visible, count, button, paper, nothingFound, toUnpack, prose, time, duration, sentence, pointer, records, talks: model } = portability;
  const { fact, string } = model;
  const LIST_ROWS = 50;
  const BUBBLES = 200;
  const SNIPPET_CHARACTERS = 90;
  const MINE = /^(contact|customer|caller|requester|user|visitor)$/;
  /* What the page says of the conversations of an exporter. */
  const chat = { name: chatName, facts: ["channel", "status", "department"], heading: "messages", nothing: "noMessages", sound: false };
  const KINDS = {
    calls: { name: callName, facts: ["duration_seconds", "status", "outcome"], heading: "transcript", nothing: "noTranscript", sound: true },
    chats: chat,
    inquiries: chat,
  };

  function callName(talks, entry) {
    const direction = fact(talks, entry, "direction");
    const number = string(fact(talks, entry, direction === "outbound" ? "called_number" : "caller_number"));
    return [t(direction === "outbound" || direction === "inbound" ? direction : "call"), number].filter(Boolean).join(" · ");
  }

  /* A chat without a subject is named by its first words. */
  function chatName(talks, entry) {
    return string(fact(talks, entry, "subject")) ?? entry[4] ?? t("untitled");
  }

  const kindOf = (talks) => KINDS[talks.tab];
  const nameOf = (talks, entry) => begin(kindOf(talks).name(talks, entry));
  const begin = (text) => (text.length > SNIPPET_CHARACTERS ? `${text.slice(0, SNIPPET_CHARACTERS)}…` : text);

  function factLine(talks, entry) {
    const shown = kindOf(talks).facts.map((name) => {
      const found = fact(talks, entry, name);
      if (name === "duration_seconds") return typeof found === "number" ? duration(found) : null;
      return string(found) && (named(talks, name, found) ?? portability.label(found)).slice(0, 80);
    });
    return shown.filter(Boolean).join(" · ");
  }

  /* What the reader's language calls a value, where its field has labels. */
  function named(talks, name, found) {
    const field = talks.parent.fields.find((one) => one.name === name);
    return field === undefined ? null : portability.labelOf(field, found);
  }

  const address = (talks, id, item = null) => `#${talks.tab}/${encodeURIComponent(id)}${item === null ? "" : `/${encodeURIComponent(item)}`}`;

  /* The two panes; `chosen` is the id of the open conversation, null for the newest; `item` is a message to show. */
  function panes(talks, chosen, item) {
    const list = h("ol", { class: "talks" });
    const status = h("p", { class: "status", role: "status" });
    const article = h("article", { class: "talk", tabindex: "-1", "aria-busy": "true" });
    const more = button("", () => grow(), { class: "link", hidden: true });
    const warning = h("div", {});
    let [found, shown, open, run, unread] = [null, 0, chosen, 0, new Set()];

    /* Append the next entries; `found` are those of a search, null for all. */
    async function grow() {
      const mine = run;
      const added = [];
      for await (const entry of found === null ? model.entries(talks, shown) : found.slice(shown)) {
        if (added.length === LIST_ROWS) break;
        added.push(entry);
      }
      if (mine !== run) return;
      shown += added.length;
      const total = found === null ? talks.total : found.length;
      list.append(...added.map((entry) => entryOf(talks, entry, String(entry[0]) === open)));
      status.textContent = total === 0 ? nothingFound(unread) : t("foundList", { n: count(total), total: count(talks.total) });
      more.hidden = shown >= total;
      more.textContent = t("showMore", { n: count(Math.min(LIST_ROWS, total - shown)) });
    }

    async function filter() {
      run += 1;
      const mine = run;
      list.replaceChildren();
      shown = 0;
      found = talks.query === "" ? null : [];
      const gone = new Set();
      if (found !== null) {
        status.textContent = t("searching");
        const ids = await matching(talks, () => mine !== run, gone);
        if (mine !== run) return;
        for await (const entry of model.entries(talks)) if (ids.has(String(entry[0]))) found.push(entry);
      }
      if (mine !== run) return;
      unread = gone;
      warning.replaceChildren(...toUnpack(unread));
      await grow();
    }

    async function fill() {
      const first = async () => (await model.entries(talks).next()).value;
      const entry = chosen === null ? await first() : await model.entryOf(talks, chosen);
      if (entry === null) article.replaceChildren(backLink(talks), h("p", { class: "note warn" }, t("notInArchive")));
      else {
        open = String(entry[0]);
        article.replaceChildren(...await conversation(talks, entry, item));
      }
      article.removeAttribute("aria-busy");
      for (const link of list.querySelectorAll("a")) {
        if (link.getAttribute("href") === address(talks, open)) link.setAttribute("aria-current", "true");
      }
      article.querySelector(".target")?.scrollIntoView({ block: "center" });
    }

    const input = h("input", { type: "search", placeholder: t("filter"), "aria-label": t("filter"), value: talks.query });
    let waiting = null;
    input.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { talks.query = input.value.trim(); filter(); }, 150);
    });
    // First the conversation that was asked for, then the list.
    const unreadable = () => article.replaceChildren(h("p", { class: "note warn" }, t("unreadable")));
    const ready = fill().catch(unreadable).then(filter).catch(unreadable);
    const box = h("div", { class: chosen === null ? "panes" : "panes chosen" },
      h("div", { class: "list" }, input, status, warning, list, more, portability.extent(talks.parent)), article);
    return Object.assign(box, { ready });
  }

  /* The ids of the conversations that contain each word: in their own record, or in what was said. Adds to `gone`. */
  async function matching(talks, isStopped, gone) {
    const ids = new Set();
    for (const [dataset, link] of [[talks.parent, "id"], [talks.said, talks.kind.link]]) {
      if (dataset === null) continue;
      for await (const { part, rows, missing } of records.scan(dataset, talks.query)) {
        if (isStopped()) return ids;
        if (missing !== null) gone.add(missing);
        for (const row of rows) ids.add(String(part.value(row, link)));
      }
    }
    return ids;
  }

  function entryOf(talks, entry, isOpen) {
    const [id, at, , , words] = entry;
    const name = nameOf(talks, entry);
    return h("li", {}, h("a", { href: address(talks, id), "aria-current": isOpen ? "true" : null },
      h("span", { class: "row" }, h("strong", { dir: "auto" }, visible(name)), time(at, "day")),
      h("small", { dir: "auto" }, visible(factLine(talks, entry))),
      words === null || words === name ? null : h("small", { class: "snippet", dir: "auto" }, visible(begin(words)))));
  }

  const backLink = (talks) => h("a", { href: `#${talks.tab}`, class: "back" }, `← ${t("back")}`);

  async function conversation(talks, entry, item) {
    const kind = kindOf(talks);
    const talk = await model.read(talks, entry);
    const players = kind.sound ? talk.files.map((ref) => h("div", {}, fileOf(talks, ref))) : [];
    const audio = players.flatMap((box) => [...box.querySelectorAll("audio")])[0] ?? null;
    const spoken = await speech(talks, talk, audio, item);
    return [
      backLink(talks),
      h("header", {},
        h("h3", { dir: "auto" }, visible(nameOf(talks, entry))),
        h("p", { class: "note" }, time(entry[1]), " · ", h("bdi", {}, visible(factLine(talks, entry)))),
        connections(talk, button(t("print"), async () => { await spoken.drawAll(); print(); }, { class: "link" }))),
      toUnpack(talk.missing),
      kind.sound ? h("section", { class: "sound" }, players.length > 0 || talk.missing.size > 0 ? players : h("p", { class: "note" }, t("noRecording")), spoken.subtitles) : null,
      h("h4", {}, t(kind.heading)),
      spoken,
      kind.sound ? null : loose(talks, talk),
      conclusions(talks, talk),
      talk.parent === null ? null : h("details", {}, h("summary", {}, t("allFields")), portability.fieldList(talk.parent.part, talk.parent.row)),
    ].flat().filter(Boolean);
  }

  /* What a conversation is connected with: the contact that it names, and all that names it. */
  function connections(talk, printer) {
    const id = String(talk.entry[0]);
    const fields = talk.parent === null ? [] : talk.parent.part.fields.filter((field) => portability.linkOf(field.name, talk.parent.part.value(talk.parent.row, field.name)) !== null);
    return h("p", { class: "note connections" },
      fields.map((field, place) => [place > 0 ? " · " : null, visible(portability.columnHead(field)), ": ", portability.value(talk.parent.part, talk.parent.row, field)]),
      h("span", { class: "acts" }, fields.length > 0 ? " · " : null, button(t("related"), () => portability.lookFor(id), { class: "link" }), " · ", printer));
  }

  /* The file of a record of recordings or attachments, or why there is none. */
  function fileOf(talks, { part, row }) {
    const name = part.value(row, "file");
    if (part.files.has(name)) return portability.value(part, row, { name: "file", type: "string" }, { preload: "metadata" });
    const gap = portability.export.gaps.find((g) => g.exporter === part.exporter && typeof g.what === "string"
      && [name, part.value(row, "id")].some((n) => g.what === `${part.name}/${n}`));
    return h("p", { class: "note warn" }, t("notHere"), gap ? ` ${portability.word("reasons", gap.reason)}` : null);
  }

  async function speech(talks, talk, audio, item) {
    const { kind } = talks;
    const own = kind.first && talk.parent ? string(talk.parent.part.value(talk.parent.row, kind.first)) : null;
    const first = own ? [{ who: "requester", text: own, at: talk.entry[1], dataset: talk.parent.part, whole: talk.parent.part.cuts.get(`${talk.parent.row}/${kind.first}`) }] : [];
    const list = h("ol", { class: "bubbles" }, first.map((said) => bubble(talks, talk, said)));
    const more = button("", () => draw(), { class: "link", hidden: true });
    const rest = talks.said !== null && talks.said.reach < talks.said.total;
    const note = h("p", { class: "note", hidden: true }, t(kindOf(talks).nothing), " ",
      rest ? sentence("notShown", { file: pointer(talks.said) }) : null);
    const cut = paper();
    const box = h("div", {}, list, note, more, cut);
    const waiting = [];
    let [drawn, ended] = [0, false];

    async function draw(target = null) {
      do {
        while (waiting.length < BUBBLES && !ended) {
          const { done, value } = await talk.said.next();
          ended = done;
          if (!done) waiting.push(...value);
        }
        const some = waiting.splice(0, BUBBLES);
        list.append(...some.map((ref) => bubble(talks, talk, heard(talks, ref), audio)));
        drawn += some.length;
      } while (target !== null && !mark(target) && (waiting.length > 0 || !ended));
      more.hidden = waiting.length === 0 && ended;
      const left = Math.max(talk.count - drawn, 1);
      more.textContent = t("showMore", { n: count(Math.min(BUBBLES, left)) });
      cut.hidden = more.hidden;
      cut.textContent = `${t("paperMore", { n: count(left) })} ${t("paperAll", { print: t("print") })}`;
      note.hidden = list.children.length > 0;
    }

    /* Show the message that the address names; a recording goes to its second. */
    function mark(id) {
      const found = [...list.children].find((each) => each.dataset.id === id);
      if (found === undefined) return false;
      found.classList.add("target");
      if (audio !== null && found.dataset.at !== undefined) audio.currentTime = Number(found.dataset.at);
      return true;
    }

    await draw(item);
    if (audio !== null) follow(audio, list);
    const drawAll = async () => { while (!more.hidden) await draw(); };
    const subtitles = kindOf(talks).sound && list.children.length > 0 ? portability.subtitles(audio, list, drawAll, String(talk.entry[0])) : null;
    return Object.assign(box, { drawAll, subtitles });
  }

  function heard(talks, { part, row }) {
    const of = (name) => (part.has(name) ? part.value(row, name) : null);
    const { kind } = talks;
    return {
      who: String(of(kind.who) ?? ""), staff: string(of("staff_id")), text: of(kind.text), at: of(kind.at), end: of("ends_seconds"), dataset: part, whole: part.cuts.get(`${row}/${kind.text}`),
      deleted: of("deleted_at") !== null, edited: of("edited_at") !== null, id: of("id"),
    };
  }

  function bubble(talks, talk, said, audio = null) {
    const mine = MINE.test(said.who);
    const system = said.who === "system";
    const attached = said.id === undefined || kindOf(talks).sound ? [] : attachments(talks, talk, said.id);
    const marks = [said.edited ? t("edited") : null, said.deleted ? t("deleted") : null].filter(Boolean).join(", ");
    return h("li", { class: system ? "system" : mine ? "mine" : "theirs", "data-at": typeof said.at === "number" ? said.at : null, "data-end": typeof said.end === "number" ? said.end : null, "data-id": said.id },
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

  function attachments(talks, talk, message) {
    const own = talk.files.filter(({ part, row }) => part.has("message_id") && part.value(row, "message_id") === message);
    for (const ref of own) ref.isShown = true;
    return own.map((ref) => attachment(talks, ref));
  }

  function attachment(talks, ref) {
    const name = ref.part.value(ref.row, "file_name");
    return h("div", { class: "attachment" }, fileOf(talks, ref), string(name) ? h("small", { class: "note", dir: "auto" }, visible(begin(name))) : null);
  }

  /* Attachments of a conversation that belong to no message shown. */
  function loose(talks, talk) {
    const rows = talk.files.filter((ref) => !ref.isShown);
    return rows.length ? h("section", {}, h("h4", {}, t("attachments")), rows.map((ref) => attachment(talks, ref))) : null;
  }

  function conclusions(talks, talk) {
    if (talk.notes.length === 0) return null;
    const skip = ["id", "tenant_id", talks.kind.link, "created_at"];
    return h("section", { class: "card" }, h("h4", {}, t("conclusions")), talk.notes.map(({ part, row }) => portability.fieldList(part, row, { skip, nulls: false })));
  }

  Object.assign(portability, { panes, talkAddress: address });
})();
