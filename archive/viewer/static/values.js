"use strict";
/* One value of a record as something to look at, by the type of its field. */
(() => {
  const { h, visible, t, sentence, count, bytes, button, paper, code, own } = portability;
  const CELL_CHARACTERS = 240;
  const PROSE_CHARACTERS = 1500;
  const SHOWN_MAX = 200_000;
  const HEAD_BYTES = 128;
  /* Fields that name a record of a dataset. */
  const LINKS = {
    contact_id: "crm.contacts", deal_id: "crm.deals", company_id: "crm.companies", ticket_id: "interactions.tickets",
    call_id: "calls.calls", conversation_id: "chats.conversations", inquiry_id: "inquiries.inquiries",
  };
  const PIECES_NAMED = 3;
  // By the file's own ending, which decides what a browser makes of it, not by what its sender called it.
  const AUDIO = /\.(wav|mp3|ogg|oga|opus|m4a|flac|webm|mp4|aac)$/i;
  const IMAGE = /\.(png|jpe?g|gif|webp|avif|bmp)$/i;
  const LINKED = /\.(txt|csv|jsonl|json|vtt|pdf|wav|mp3|ogg|oga|opus|m4a|flac|webm|mp4|aac|png|jpe?g|gif|webp|avif|bmp)$/i;

  /* A text, shortened with a button; `whole` says how long it is where the page holds only its beginning. */
  function prose(all, { characters = PROSE_CHARACTERS, whole: known = null, dataset = null } = {}) {
    const text = all.length > SHOWN_MAX ? all.slice(0, SHOWN_MAX) : all;
    const whole = known ?? (all.length > SHOWN_MAX ? characterCount(all) : null);
    const place = h("span", { dir: "auto", class: "text" });
    const rest = whole === null ? null : h("small", { class: "note" }, sentence("cut", {
      n: count(text.length), total: count(whole), file: pointer(dataset),
    }));
    if (text.length <= characters) {
      place.append(...visible(text));
      return rest === null ? place : h("span", {}, place, rest);
    }
    let open = false;
    const more = button("", () => draw(!open), { class: "link" });
    const cut = paper(t("paperText", { n: count(whole ?? text.length) }));
    // Not in the middle of a character that takes two units.
    const begin = text.slice(0, characters).replace(/[\ud800-\udbff]$/, "");
    function draw(opened) {
      open = opened;
      place.replaceChildren(...visible(open ? text : `${begin} …`));
      more.textContent = open ? t("less") : t("showAll", { n: count(whole ?? text.length) });
      more.setAttribute("aria-expanded", String(open));
      cut.hidden = open;
    }
    draw(false);
    return h("span", {}, place, " ", more, cut, rest);
  }

  /* The number of characters of a text, as other programs count them: some take two of JavaScript's units. */
  function characterCount(text) {
    let found = text.length;
    for (const _pair of text.matchAll(/[\ud800-\udbff][\udc00-\udfff]/g)) found -= 1;
    return found;
  }

  /* What the reader's language calls a value of a field, or null. */
  function labelOf(field, found) {
    const labels = own(field.labels ?? {}, found);
    return labels === null ? null : labels[portability.language] ?? labels[portability.source];
  }

  /* The value of a field in a record of a dataset. */
  function value(dataset, index, field, { characters = CELL_CHARACTERS, preload = "none" } = {}) {
    const found = dataset.value(index, field.name);
    const whole = dataset.cuts.get(`${index}/${field.name}`) ?? null;
    if (found === null) return h("span", { class: "none", title: t("noValue") }, "—");
    if (found === "") return h("span", { class: "none" }, `(${t("empty")})`);
    if (typeof found === "string" && dataset.files.has(found)) return files(dataset.files.get(found), preload);
    if (typeof found === "boolean") return t(found ? "yes" : "no");
    if (field.type === "datetime") return portability.time(found);
    if (field.type === "date") return date(found);
    if (field.type === "decimal") return h("span", { title: found, class: "number" }, grouped(found));
    if (typeof found === "number") return h("span", { title: String(found), class: "number" }, number(found));
    if (typeof found === "object") return tree(found, characters);
    const named = labelOf(field, found);
    if (named !== null) return h("span", { title: found }, named);
    const address = linkOf(field.name, found);
    if (address !== null) return h("a", { href: address, dir: "auto" }, visible(found));
    return prose(String(found), { characters, whole, dataset });
  }

  /* The address of the record that a field names, if this archive has its dataset. */
  function linkOf(name, found) {
    const target = Object.hasOwn(LINKS, name) ? portability.datasets.get(LINKS[name]) : undefined;
    if (target === undefined || target.lines.length === 0 || typeof found !== "string") return null;
    const talks = portability.export.talks[target.exporter];
    return talks?.parent === target.name ? `#${target.exporter}/${encodeURIComponent(found)}` : `#${target.exporter}/?${target.name}/${encodeURIComponent(found)}`;
  }

  function date(text) {
    const found = /^\d{4}-\d\d-\d\d$/.test(text) ? portability.moment(`${text}T00:00:00Z`) : null;
    if (found === null) return prose(String(text), { characters: CELL_CHARACTERS });
    return h("time", { datetime: text, title: text }, portability.format("date", found));
  }

  /* A number with all its digits: a coordinate such as -6.20881 is not -6.2088, and 0.00001 is not 0. */
  const number = (found) => Number.isSafeInteger(found) ? portability.format("number", found) : grouped(String(found));

  /* An exact decimal with its thousands grouped and every digit kept. */
  function grouped(text) {
    const [, minus, whole, digits] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
    if (whole === undefined) return text;
    const parts = Object.fromEntries(portability.parts(12345.6).map(({ type, value: sign }) => [type, sign]));
    const [thousand, point] = [parts.group ?? "", parts.decimal];
    const front = whole.replace(/\B(?=(\d{3})+$)/g, thousand);
    return minus + front + (digits === undefined ? "" : point + digits);
  }

  const isPlain = (v) => v === null || typeof v !== "object";

  function tree(found, characters) {
    if (Array.isArray(found) && found.length > 0 && found.length <= 30 && found.every((v) => isPlain(v) && String(v).length < 60)) {
      return h("span", { class: "chips" }, found.map((v) => h("span", { dir: "auto" }, visible(String(v)))));
    }
    const text = JSON.stringify(found, null, characters > CELL_CHARACTERS ? 2 : undefined);
    return h("code", { class: "json" }, prose(text, { characters }));
  }

  /* Where a dataset's records are as a whole: its first files, and how many there are. */
  function pointer(dataset) {
    const pieces = dataset?.about.pieces ?? [];
    if (pieces.length === 0) return code(dataset === null ? "data/" : `data/${dataset.exporter}/`);
    const links = pieces.slice(0, PIECES_NAMED).map((piece, place) => [place ? ", " : "", link(piece)]).flat();
    const others = pieces.length - PIECES_NAMED + (dataset.about.more ?? 0);
    return h("span", {}, others > 0 ? sentence("cappedMore", { file: h("span", {}, links), n: count(others) }) : links);
  }

  /* A link to a file of the archive, if a browser opens such files harmlessly; its path otherwise. */
  function link(file) {
    if (!LINKED.test(file.path)) return code(file.path);
    return h("a", { href: portability.shards.at(file.path), target: "_blank", rel: "noopener noreferrer" }, code(file.path));
  }

  function files(parts, preload) {
    const whole = parts.length === 1 && !/\.part-\d+$/.test(parts[0].path);
    return h("span", { class: "files" }, whole ? media(parts[0], preload) : parts.map((part) => h("span", {}, link(part), " ", bytes(part.bytes))));
  }

  function media(file, preload = "none") {
    const notes = h("small", { class: "note" }, [
      bytes(file.bytes),
      file.state === "truncated" ? ` · ${t("truncated")}` : null,
      file.volume === null ? null : ` · ${t("inVolume", { volume: file.volume })}`,
    ]);
    const failed = (key) => () => notes.append(" ", h("span", { class: "warn" }, ...trouble(file, key)));
    // A browser calls a file without a byte a failure of the network.
    if (file.bytes === 0) return [link(file), notes, h("small", { class: "note warn" }, t("emptyFile"))];
    if (AUDIO.test(file.path)) {
      // Of a head without sound, Chromium says that it never ends.
      const silent = ({ target }) => { if (target.duration === 0 || (target.duration === Infinity && file.bytes < HEAD_BYTES)) notes.append(" ", h("span", { class: "warn" }, t("emptyRecording"))); };
      return [player(file, preload, { error: failed("unplayable"), loadedmetadata: silent }), paper(t("recording"), " ", visible(file.name ?? "")), " ", notes];
    }
    if (IMAGE.test(file.path)) {
      const picture = h("img", { src: portability.shards.at(file.path), alt: file.name ?? "", loading: "lazy", on: { error: failed("unshown") } });
      return [h("a", { href: portability.shards.at(file.path), target: "_blank", rel: "noopener noreferrer", class: "picture" }, picture), notes];
    }
    const about = LINKED.test(file.path) ? null : h("small", { class: "note" }, t("noPreview"));
    return [link(file), notes, about];
  }

  function trouble(file, key) {
    if (file.volume !== null) return [t("unpack", { volume: file.volume })];
    return sentence(key, { file: code(file.path) });
  }

  function player(file, preload, on) {
    return h("audio", { controls: true, preload, src: portability.shards.at(file.path), "aria-label": `${t("recording")} ${file.name ?? ""}`, on });
  }

  /* All fields of a record, with their descriptions as help. */
  function fieldList(dataset, index, { skip = [], nulls = true } = {}) {
    const all = dataset.fields.filter((field) => !skip.includes(field.name));
    const shown = all.filter((field) => nulls || own(dataset.record(index), field.name) !== null);
    const empty = all.filter((field) => !shown.includes(field)).map((field) => portability.columnHead(field));
    return h("div", {},
      h("dl", { class: "fields" }, shown.map((field) => h("div", {},
        h("dt", { title: portability.read(field, "description")[0] }, h("bdi", {}, visible(portability.columnHead(field)))),
        h("dd", {}, value(dataset, index, field, { characters: PROSE_CHARACTERS })),
      ))),
      empty.length ? h("p", { class: "note" }, visible(t("withoutValue", { fields: empty.join(", ") }))) : null,
    );
  }

  Object.assign(portability, { prose, value, labelOf, pointer, link, linkOf, media, player, fieldList, isAudio: (path) => AUDIO.test(path), trouble });
})();
