"use strict";
/* A transcript as WebVTT (W3C): shown under the recording while it plays, and saved as a file. */
(() => {
  const { h, t, button } = portability;
  const LAST_SECONDS = 5;

  /* The cues of the segments of a list: {from, to, who, text}, in the order of their beginnings. */
  function cues(list) {
    const items = [...list.children].filter((item) => item.dataset.at !== undefined);
    const found = items.map((item) => ({
      from: Number(item.dataset.at), end: item.dataset.end === undefined ? null : Number(item.dataset.end),
      who: item.querySelector(".who bdi").textContent, text: item.querySelector(".words").textContent,
    })).sort((a, b) => a.from - b.from);
    return found.map((cue, place) => ({ ...cue, to: cue.end !== null && cue.end > cue.from ? cue.end : found[place + 1]?.from ?? cue.from + LAST_SECONDS }));
  }

  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replace(/\s+/g, " ").trim();
  const name = (who) => who.replace(/[&<>\s]+/g, " ").trim();

  function stamp(seconds) {
    const thousandths = Math.round(seconds * 1000);
    const two = (n) => String(Math.floor(n)).padStart(2, "0");
    return `${two(thousandths / 3_600_000)}:${two(thousandths / 60_000 % 60)}:${two(thousandths / 1000 % 60)}.${String(thousandths % 1000).padStart(3, "0")}`;
  }

  const webvtt = (all) => `WEBVTT\n\n${all.map(({ from, to, who, text }) => `${stamp(from)} --> ${stamp(to)}\n<v ${name(who)}>${escaped(text)}\n`).join("\n")}`;

  /* What is being said, as a line under the player, and a button that saves everything. */
  function subtitles(audio, list, drawAll, id) {
    const line = h("p", { class: "cue", "aria-hidden": "true", dir: "auto", hidden: audio === null });
    if (audio !== null) {
      audio.addEventListener("timeupdate", () => {
        const now = cues(list).filter(({ from, to }) => from <= audio.currentTime && audio.currentTime < to).at(-1);
        line.textContent = now === undefined ? "" : `${now.who}: ${now.text}`;
      });
    }
    async function save() {
      await drawAll();
      const address = URL.createObjectURL(new Blob([webvtt(cues(list))], { type: "text/vtt" }));
      h("a", { href: address, download: `${id.replace(/[^A-Za-z0-9_-]/g, "_")}.vtt` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 1000);
    }
    return h("div", { class: "subtitles" }, line, button(t("saveSubtitles"), save, { class: "link" }));
  }

  Object.assign(portability, { subtitles, webvtt });
})();
