"""A walk through a page by Tab alone: everything is reached in order, each focus is seen, and nothing holds it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

STOPS = """() => {
    const found = [...document.querySelectorAll(
        'a[href], button, input:not([type=hidden]), select, textarea, summary, audio, [tabindex]')]
        .filter(each => each.checkVisibility({visibilityProperty: true}) && !each.disabled && each.tabIndex >= 0);
    const groups = new Set();
    const stops = [];
    for (const each of found) {
        const group = each.type === "radio" ? [...found].filter(other =>
            other.type === "radio" && other.name === each.name && other.form === each.form) : [each];
        if (groups.has(group[0])) continue;
        groups.add(group[0]);
        stops.push(group.find(other => other.checked) ?? each);
    }
    stops.forEach((each, place) => { each.dataset.stop = place; });
    return stops.map(each => each.outerHTML.slice(0, 120));
}"""
"""Marks what Tab has to reach, in the order of the page; a group of radio buttons is one stop."""
FOCUS = """() => {
    const each = document.activeElement;
    if (!each || each === document.body) return null;
    const {left, top, width, height, right, bottom} = each.getBoundingClientRect();
    const {outlineStyle: style, outlineWidth} = getComputedStyle(each);
    const inside = (at, most) => Math.min(Math.max(at, 0), most - 1);
    const above = document.elementFromPoint(
        inside(left + width / 2, innerWidth), inside(top + Math.min(height / 2, 300), innerHeight));
    return {
        stop: Number(each.dataset.stop ?? -1),
        html: each.outerHTML.slice(0, 120),
        "no outline": style === "none" || (style !== "auto" && parseFloat(outlineWidth) < 2),
        "out of view": bottom <= 0 || top >= innerHeight || right <= 0 || left >= innerWidth,
        "covered": !above || !(each.contains(above) || above.contains(each)),
    };
}"""
DRAWN = "() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
"""Waits until what the page has changed is drawn."""
SEEN = ("no outline", "out of view", "covered")
WRONG = """() => [document.querySelector("[aria-invalid=true][aria-describedby~=alert]"), document.activeElement].map(
    each => each?.outerHTML.slice(0, 120))"""
MORE = 30
"""Presses of Tab beside one for each stop: the parts of a date, and the way around the end of the page."""


def _focus(page: Page) -> dict[str, Any] | None:
    """Return where the focus is, and how it is seen once the browser has scrolled to it."""
    focus: dict[str, Any] | None = page.evaluate(FOCUS)
    if focus and any(focus[fault] for fault in SEEN):
        page.evaluate(DRAWN)
        focus = page.evaluate(FOCUS)
    return focus


def keyboard_faults(page: Page) -> list[tuple[str, str]]:
    """Walk through the page by Tab, once around, and return what is wrong, each with the element.

    After an error the focus has to be in the wrong field. Every stop is reached, in the order of the page; each shows
    its focus, is in view and is covered by nothing; the walk comes around, so nothing holds the focus.
    """
    page.emulate_media(reduced_motion="reduce")  # smooth scrolling would go on after the look
    wrong, focused = page.evaluate(WRONG)
    faults = [("focus is not in the wrong field", wrong)] if wrong and wrong != focused else []
    stops: list[str] = page.evaluate(STOPS)
    reached: list[int] = []
    for _ in range(len(stops) + MORE):
        page.keyboard.press("Tab")
        focus = _focus(page)
        if not focus or focus["stop"] == (reached[-1] if reached else None):
            continue
        if focus["stop"] in reached:
            break
        reached.append(focus["stop"])
        faults += [(fault, focus["html"]) for fault in SEEN if focus[fault]]
    else:
        faults += [("the walk does not come around", stops[reached[-1]])] if len(stops) > 1 else []
    begin = reached.index(min(reached)) if reached else 0
    around = reached[begin:] + reached[:begin]
    faults += [("not reached", stops[place]) for place in range(len(stops)) if place not in reached]
    return faults if around == sorted(around) else [*faults, ("another order than the page's", str(around))]
