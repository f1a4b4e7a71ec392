"use strict";
/* Small charts, drawn as SVG; what they show is also in the tables below them. */
(() => {
  const { h, svg, t, count, visible } = portability;
  const DAY = 86_400_000;
  const BARS_MAX = 96;
  const HEIGHT = 96;
  const THINGS_MIN = 8;

  /* When things happened. Days, weeks, months or years, whatever leaves few enough bars; months at least where only
     they are known. Too few things make no chart. */
  function timeline({ points: all, isExact }, heading) {
    if (all.reduce((sum, { n }) => sum + n, 0) < THINGS_MIN) return null;
    const points = together(all);
    if (points.length < 2) return null;
    const [low, high] = extent(points);
    const [first, last] = [new Date(low), new Date(high)];
    const units = isExact ? ["day", "week", "month", "year"] : ["month", "year"];
    const unit = units.find((u) => steps(u, first, last) <= BARS_MAX) ?? "year";
    const begins = begun(unit, first);
    const bars = Array.from({ length: steps(unit, first, last) }, () => 0);
    for (const { at, n } of points) bars[steps(unit, begins, at) - 1] += n;
    const most = Math.max(...bars);
    const width = 100 / bars.length;
    const name = (place) => portability.format(unit === "day" || unit === "week" ? "day" : "month", stepped(unit, begins, place));
    const summary = `${heading}. ${t("whenLong", { unit: t(unit) })}: ${name(0)} – ${name(bars.length - 1)}. ${t("most", { n: count(most) })}`;
    return h("figure", { class: "chart broad" },
      h("figcaption", {}, h("strong", {}, heading), h("small", {}, t("whenLong", { unit: t(unit) }))),
      svg("svg", { viewBox: `0 0 100 ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": summary },
        bars.map((n, place) => {
          const height = n ? Math.max((n / most) * (HEIGHT - 4), 3) : 0.75;
          const box = { x: place * width + width * 0.12, width: width * 0.76, y: HEIGHT - height, height };
          return svg("rect", { ...box, class: n ? "bar" : "base" }, svg("title", {}, t("bar", { date: name(place), n: count(n) })));
        })),
      h("div", { class: "axis", "aria-hidden": "true" }, h("span", {}, name(0)), h("span", {}, name(bars.length - 1))),
    );
  }

  /* What lies in few enough years: beside a wrong date, such as 1601-01-01, the time with most of it (as in the summary). */
  function together(points) {
    const counted = new Map();
    for (const { at, n } of points) counted.set(at.getFullYear(), (counted.get(at.getFullYear()) ?? 0) + n);
    const years = [...counted.keys()].sort((a, b) => a - b);
    const of = (from) => years.filter((year) => year >= from && year < from + BARS_MAX);
    const sums = new Map(years.map((from) => [from, of(from).reduce((sum, year) => sum + counted.get(year), 0)]));
    const best = new Set(of(years.reduce((most, year) => (sums.get(year) > sums.get(most) ? year : most), years[0])));
    return points.filter(({ at }) => best.has(at.getFullYear()));
  }

  function extent(points) {
    let [low, high] = [Infinity, -Infinity];
    for (const { at } of points) {
      low = Math.min(low, at.getTime());
      high = Math.max(high, at.getTime());
    }
    return [low, high];
  }

  /* The beginning of a day. `new Date(50, 0, 1)` is in 1950. */
  function dayOf(year, month = 0, day = 1) {
    const found = new Date(2000, 0, 1);
    found.setFullYear(year, month, day);
    return found;
  }

  /* The beginning of a month such as 2026-01, or null for anything else. */
  function firstOf(month) {
    const [, year, number] = /^(\d{4})-(\d\d)$/.exec(month) ?? [];
    return year === undefined ? null : dayOf(Number(year), Number(number) - 1);
  }

  function begun(unit, moment) {
    const [year, month, day] = [moment.getFullYear(), moment.getMonth(), moment.getDate()];
    if (unit === "year") return dayOf(year);
    if (unit === "month") return dayOf(year, month);
    return dayOf(year, month, unit === "week" ? day - ((moment.getDay() + 6) % 7) : day);
  }

  function stepped(unit, begins, place) {
    const [year, month, day] = [begins.getFullYear(), begins.getMonth(), begins.getDate()];
    if (unit === "year") return dayOf(year + place);
    if (unit === "month") return dayOf(year, month + place);
    return dayOf(year, month, day + place * (unit === "week" ? 7 : 1));
  }

  /* How many units lie between two moments, both included. */
  function steps(unit, from, to) {
    const [a, b] = [begun(unit, from), begun(unit, to)];
    if (unit === "year") return b.getFullYear() - a.getFullYear() + 1;
    if (unit === "month") return (b.getFullYear() - a.getFullYear()) * 12 + b.getMonth() - a.getMonth() + 1;
    return Math.round((b - a) / DAY / (unit === "week" ? 7 : 1)) + 1;
  }

  /* How often each value comes up. */
  function tally(values) {
    const counted = {};
    for (const found of values) if (typeof found === "string" && found !== "") counted[found] = (Object.hasOwn(counted, found) ? counted[found] : 0) + 1;
    return counted;
  }

  /* What comes up most often, of counts by value. */
  function top(counted, heading, most = 8) {
    const rows = Object.entries(counted).sort((a, b) => b[1] - a[1]).slice(0, most);
    if (rows.length < 2) return null;
    return h("figure", { class: "chart" },
      h("figcaption", {}, h("strong", {}, heading)),
      h("ol", { class: "ranked" }, rows.map(([name, n]) => h("li", {},
        h("span", { class: "name", dir: "auto", title: name.slice(0, 500) }, visible(name.slice(0, 120))),
        svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
          svg("rect", { x: 0, y: 0, width: 100, height: 8, class: "base" }),
          svg("rect", { x: 0, y: 0, width: (n / rows[0][1]) * 100, height: 8, class: "bar" })),
        h("span", { class: "number" }, count(n)),
      ))),
    );
  }

  /* From when to when: `spans` are {name, from, to}. */
  function spans(rows, heading) {
    const shown = rows.filter((row) => row.from !== null && row.to !== null).slice(0, 12);
    if (shown.length === 0) return null;
    const low = Math.min(...shown.map((row) => row.from.getTime()));
    const high = Math.max(...shown.map((row) => row.to.getTime()), low + DAY);
    const at = (moment) => ((moment.getTime() - low) / (high - low)) * 100;
    const day = (moment) => portability.format("day", moment);
    return h("figure", { class: "chart" },
      h("figcaption", {}, h("strong", {}, heading), h("small", {}, t("seen"))),
      h("ol", { class: "ranked spans" }, shown.map((row) => h("li", {},
        h("span", { class: "name", dir: "auto" }, visible(row.name.slice(0, 120))),
        svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
          svg("rect", { x: 0, y: 3.5, width: 100, height: 1, class: "base" }),
          svg("rect", { x: at(row.from), y: 0, width: Math.max(at(row.to) - at(row.from), 1), height: 8, class: "bar" })),
        h("small", {}, `${day(row.from)} – ${day(row.to)}`),
      ))),
    );
  }

  Object.assign(portability, { timeline, firstOf, tally, top, spans });
})();
