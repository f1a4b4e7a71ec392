"use strict";
/* Records on demand: shards are scripts of this folder and of the folders beside it, loaded when they are needed. */
(() => {
  const PATTERN = /^(?:\.\.\/(?:\.\.\/([A-Za-z0-9][A-Za-z0-9._-]*)\/\1\/|[A-Za-z0-9][A-Za-z0-9._-]*\/))?viewer\/(?:rows|list)\/[0-9]{5}\.js$/;
  const KEPT = 48; // 300 KB each
  const AHEAD = 4;
  const { nonce } = document.currentScript;
  let isApart = false;
  const arrived = new Map();
  const kept = new Map();

  const checked = (url) => {
    if (!PATTERN.test(url)) throw new TypeError("this page loads only its own shards");
    return url;
  };
  /* The only policy that the page allows: it accepts no text but the address of a shard. */
  const policy = globalThis.trustedTypes?.createPolicy("portability-shards", { createScriptURL: checked }) ?? { createScriptURL: checked };

  /* The address of a file of the archive. Windows extracts each ZIP, which has one folder, to a folder of the same name. */
  const at = (file) => (isApart ? file.replace(/^\.\.\/([^/]+)\//, "../../$1/$1/") : file);

  /* Find out where the other volumes are: beside this one, or each in a folder of its own, as this one is then. */
  async function settle() {
    const [outer, inner] = location.pathname.split("/").slice(-3);
    const shard = [...portability.datasets.values()].flatMap(({ about }) => about.shards ?? []).find(([volume]) => volume !== portability.export.name);
    if (outer !== inner || shard === undefined) return;
    const probe = () => load(shard[0], path("rows", shard[1])).then(() => true, () => false);
    if (await probe()) return;
    isApart = true;
    isApart = await probe();
  }

  /* The text of a shard. The promise is rejected if its volume does not lie beside this one. */
  function load(volume, path) {
    const name = `${volume}/${path}`;
    const found = kept.get(name) ?? fetched(name, volume === portability.export.name ? path : at(`../${name}`));
    kept.delete(name);
    kept.set(name, found); // the newest is the last
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    return found;
  }

  function fetched(name, url) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.nonce = nonce;
      script.addEventListener("load", () => {
        script.remove();
        const text = arrived.get(name);
        arrived.delete(name);
        if (text === undefined) reject(new Error(name));
        else resolve({ text, parts: new Map() });
      });
      script.addEventListener("error", () => {
        script.remove();
        kept.delete(name);
        reject(new Error(name));
      });
      script.src = policy.createScriptURL(url);
      document.head.append(script);
    });
  }

  const path = (folder, number) => `viewer/${folder}/${String(number).padStart(5, "0")}.js`;
  const lines = (text) => text.split("\n").slice(0, -1);

  /* A part of a list of this volume, parsed. */
  async function list(number) {
    const shard = await load(portability.export.name, path("list", number));
    shard.entries ??= JSON.parse(`[${shard.text.trimEnd().replaceAll("\n", ",")}]`);
    return shard.entries;
  }

  /* The records of a dataset in one shard, as a dataset of their own: with the same fields and files. */
  async function part(dataset, place) {
    const [volume, number] = dataset.about.shards[place];
    const shard = await load(volume, path("rows", number));
    if (!shard.parts.has(dataset)) shard.parts.set(dataset, dataset.part(place, lines(shard.text)));
    return shard.parts.get(dataset);
  }

  /* Texts of the shards of a dataset, in order: [place, text], or [place, null] for a shard that is not there. */
  async function* texts(dataset) {
    const places = [...dataset.about.shards.keys()];
    const begin = (place) => {
      const [volume, number] = dataset.about.shards[place];
      return load(volume, path("rows", number)).then((shard) => shard.text, () => null);
    };
    const waiting = places.slice(0, AHEAD).map(begin);
    for (const place of places) {
      const text = await waiting[place];
      delete waiting[place];
      if (place + AHEAD < places.length) waiting[place + AHEAD] = begin(place + AHEAD);
      yield [place, text];
    }
  }

  Object.assign(portability, {
    shards: { load, list, part, texts, at, settle },
    /* A shard's script calls this with its name and its lines. */
    arrive(name, text) {
      arrived.set(name, text);
    },
  });
})();
