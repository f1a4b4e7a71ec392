"""Every page in each state: nothing is cut, too wide, untranslated or inaccessible; `make pictures` keeps them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
from browsing import cut_on_paper, unfold
from frozen_export import frozen_archive
from keyboard_walks import keyboard_faults
from playwright.sync_api import Browser, BrowserContext, Page, Response, ViewportSize, expect
from scenes import PEOPLE, SCENES, WEAK, Scene, add_session
from served import OWNER, TENANT, Served, serving
from untranslated import left_in_source, texts_of
from variants import SCHEMES, SIZES, Variant, pairs, varied
from visits import check_accessible

from portability.locale import SOURCE, languages, sentences
from portability.messages import letters
from portability.messages.outbox import MessageKind

FIRST = int(os.environ.get("FIRST", "0"))
"""Where the order of the variants begins: with another number each page is pictured in another way."""
CHOSEN = [*zip(SCENES, varied([scene.room for scene in SCENES], first=FIRST), strict=True)]
KINDS = (MessageKind.READY, MessageKind.ADDRESS_CODE, MessageKind.DENIED)
DOCUMENTS = ("README.html", "notice.html", "index.html", "index.html#calls", "index.html#chats", "index.html#crm")
"""Pages of an archive; after # the part of the viewer."""
CUT = """() => {
    const seen = (each) => !each.matches(".unseen") && each.clientWidth;
    const own = [...document.querySelectorAll(`main :is(h1, h2, h3, .button, .badge, .quiet, dd, label, summary,
        .cards th, .scroll:has(.cards, .stacked), .wide:has(.ledger, .stacked))`)]
        .filter(each => seen(each) && each.scrollWidth > each.clientWidth + 1);
    const hangsOver = (each, around = each.parentElement) => {
        if (!around || getComputedStyle(around).textOverflow === "ellipsis") return false;
        const hides = ["hidden", "clip"].includes(getComputedStyle(around).overflowX) || around === document.body;
        const edge = around.getBoundingClientRect().right + 1;
        return hides ? each.getBoundingClientRect().right > edge : hangsOver(each, around.parentElement);
    };
    const over = [...document.querySelectorAll("main :is(.badge, .button, .quiet, .soft, .late, select, small)")]
        .filter(each => seen(each) && !each.closest(".scroll, .wide") && hangsOver(each));
    return [...own, ...over].map(each => each.outerHTML.slice(0, 120));
}"""
"""What is wider than its place or hangs over the edge of a list: text that is cut, and tables that have to be cards."""
LONG_ID = "u" * 170
NARROW: ViewportSize = {"width": 320, "height": 640}
"""The smallest phone, and a window of 1,280 pixels at 400 % (WCAG 2.2, 1.4.10)."""


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive as a person unpacks it."""
    archive = frozen_archive(tmp_path_factory.mktemp("archive"))
    return archive.unpacked(tmp_path_factory.mktemp("unpacked"))[-1]


@contextmanager
def looked(browser: Browser, variant: Variant) -> Iterator[BrowserContext]:
    """A browser in a variant."""
    width, height = SIZES[variant.size]
    look: dict[str, Any] = {"color_scheme": variant.scheme, "viewport": {"width": width, "height": height}}
    context = browser.new_context(locale=variant.language, timezone_id="Asia/Jakarta", **look)
    try:
        yield context
    finally:
        context.close()


@contextmanager
def seen(browser: Browser, staged: Served, scene: Scene, variant: Variant) -> Iterator[Page]:
    """A page of a person of the room, in a variant."""
    with looked(browser, variant) as context:
        if scene.room in PEOPLE:
            who, roles = scene.who or PEOPLE[scene.room], () if scene.room == "subject" else (scene.room,)
            tenant = {"tenant": TENANT} if scene.room == "tenant_admin" else {}
            add_session(context, staged, who, *roles, strong=who != WEAK, **tenant)
        yield context.new_page()


def look_over(page: Page, axe: str, name: str, variant: Variant) -> None:
    """Take the picture; nothing is cut or wider than the screen, at 400 % too; axe and a walk by Tab find no fault."""
    if "PICTURES" in os.environ:
        path = Path(os.environ["PICTURES"]) / f"{name}-{variant.size}-{variant.scheme}-{variant.language}.png"
        page.screenshot(path=path, full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(CUT) == []
    check_accessible(page, axe)
    assert keyboard_faults(page) == []
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    assert page.evaluate(CUT) == []


@pytest.mark.parametrize(("scene", "variant"), [pytest.param(*each, id=each[0].name) for each in CHOSEN])
def test_a_page_in_a_state(
    browser: Browser, staged: Served, identifiers: Mapping[str, str], axe: str, scene: Scene, variant: Variant
) -> None:
    """Axe finds nothing serious, nothing is cut or wider than the screen, and no sentence is in another language."""
    with seen(browser, staged, scene, variant) as page:
        statuses: list[int] = []

        def answered(answer: Response) -> None:
            if answer.request.is_navigation_request() and answer.url.startswith(staged.url):
                statuses.append(answer.status)

        page.on("response", answered)
        page.goto(f"{staged.url}{scene.path.format_map(identifiers)}")
        for act in scene.act:
            act(page, staged)
        content = page.content()
        assert statuses[-1] == scene.status
        assert f'<html lang="{variant.language}"' in content
        assert variant.language == SOURCE or left_in_source(texts_of(content, variant.language), variant.language) == []
        look_over(page, axe, f"{scene.room}-{scene.name}", variant)


def test_a_long_id_of_a_colleague_fits(browser: Browser, staged: Served, identifiers: Mapping[str, str]) -> None:
    """Providers give ids without a place to break; the list and the page of a request have them."""
    request, assigned = (f"{staged.url}/staff{path}" for path in (f"/exports/{identifiers['late']}", "?state=assigned"))
    with (
        looked(browser, Variant("phone", "light", "de")) as context,
        looked(browser, Variant("phone", "dark", "id")) as other,
    ):
        add_session(other, staged, "olga", "officer")
        add_session(context, staged, LONG_ID, "officer")
        page, colleague = context.new_page(), other.new_page()
        page.goto(request)
        with page.expect_navigation():
            page.locator("form[action$='/assignment/me'] button").click()
        for shown, address in (
            (page, request),
            (page, assigned),
            (colleague, request),
            (colleague, f"{staged.url}/staff"),
        ):
            shown.set_viewport_size(NARROW)
            shown.goto(address)
            assert (shown.evaluate("document.documentElement.scrollWidth"), shown.evaluate(CUT)) == (
                NARROW["width"],
                [],
            )


@pytest.mark.parametrize("variant", [Variant("desktop", "light", "de"), Variant("phone", "dark", "id")], ids="-".join)
def test_the_login_of_a_trial(browser: Browser, redis_server: str, tmp_path: Path, axe: str, variant: Variant) -> None:
    """It has no provider: a form takes who to be."""
    none: dict[str, Any] = {"oidc_issuer": None, "oidc_client_id": None, "oidc_client_secret": None}
    with serving(tmp_path, redis_server, development_login=True, **none) as trial, looked(browser, variant) as context:
        page = context.new_page()
        page.goto(f"{trial.url}/login")
        look_over(page, axe, "visitor-login", variant)


@pytest.mark.parametrize(
    ("kind", "variant"),
    [pytest.param(*each, id=each[0]) for each in zip(KINDS, varied(KINDS, first=FIRST), strict=True)],
)
def test_a_mail(browser: Browser, axe: str, kind: MessageKind, variant: Variant) -> None:
    """As pages: on light and dark screens, on a phone, in each language."""
    facts = {"id": "jp7zapaw", "due": "2026-12-02", "until": "2026-12-06", "code": "1234 5678", "minutes": "10"}
    url = None if kind is MessageKind.ADDRESS_CODE else "https://data.example.com/me"
    letter = letters.write(kind, variant.language, facts, url=url, contact="privacy@example.com", brand="Example Care")
    with looked(browser, variant) as context:
        page = context.new_page()
        page.set_content(letter.html)
        look_over(page, axe, f"mail-{kind}", variant)


@pytest.mark.parametrize(
    ("document", "variant"),
    [pytest.param(*each, id=each[0]) for each in zip(DOCUMENTS, varied(DOCUMENTS, first=FIRST), strict=True)],
)
def test_a_page_of_an_archive(browser: Browser, axe: str, bag: Path, document: str, variant: Variant) -> None:
    """README, notice, and the parts of the viewer: its charts, a call, a chat, a table."""
    name, _, part = document.partition("#")
    address = (
        f"{(bag / name).as_uri()}#{part or variant.language}" if name != "index.html" or part else (bag / name).as_uri()
    )
    with looked(browser, variant) as context:
        page = context.new_page()
        page.goto(address)
        if name == "index.html":
            expect(page.locator("main h2").first).to_be_visible()
            expect(page.locator("html")).to_have_attribute("lang", variant.language)
        if page.locator(".talks a").count():
            page.locator(".talks a").first.click()
            expect(page.locator(".talk .bubbles")).to_be_visible()
        if name != "index.html":
            unfold(page)
        look_over(page, axe, f"archive-{name.partition('.')[0]}{part}", variant)


@pytest.mark.usefixtures("identifiers")
def test_a_screen_without_grounds_shows_what_is_current(browser: Browser, staged: Served, bag: Path) -> None:
    """Forced colours take grounds away: edges show the current page, language and part, and how far a copy is."""
    with closing(browser.new_context(forced_colors="active", locale="en-GB")) as context:
        page = context.new_page()
        add_session(context, staged, OWNER)
        page.goto(f"{staged.url}/me")
        for selector in (".top nav [aria-current]", ".languages [aria-pressed=true]", ".choice:has(:checked)"):
            expect(page.locator(selector).first).to_have_css("outline-style", "solid")
        expect(page.locator("progress").first).to_have_css("border-top-style", "solid")
        page.goto((bag / "index.html").as_uri())
        for selector in ("[role=tab][aria-selected=true]", ".languages [aria-pressed=true]"):
            expect(page.locator(selector)).to_have_css("outline-style", "solid")


def test_a_printed_page_is_whole(browser: Browser, staged: Served, identifiers: Mapping[str, str]) -> None:
    """Folded parts are open on paper, times have their zone, and there is no form, no button and no empty card."""
    readable = "each => each.checkVisibility({contentVisibilityProperty: true})"
    with closing(browser.new_context(locale="de-DE")) as context:
        page = context.new_page()
        add_session(context, staged, OWNER)
        for path, folded in (("/me", ".rights > p"), ("/me/exports/{ready}", ".facts code")):
            page.goto(f"{staged.url}{path.format_map(identifiers)}")
            assert not page.locator(folded).first.evaluate(readable)
            page.emulate_media(media="print")
            assert page.locator(folded).first.evaluate(readable)
            expect(page.locator(".foot .zone")).to_be_visible()
            expect(page.locator("form >> visible=true")).to_have_count(0)
            expect(page.locator(".button >> visible=true")).to_have_count(0)
            expect(page.get_by_role("heading", name="Weitere Kopie anfordern")).to_be_hidden()
            page.emulate_media(media="screen")


@pytest.mark.parametrize(
    ("who", "roles", "paths"),
    [
        (OWNER, (), ("/me", "/me/exports/{ready}", "/me/exports/{failed}", "/me/exports/{sent}", "/me/exports/{gaps}")),
        (
            "olga",
            ("officer",),
            ("/staff/inbox", "/staff/inbox/{received}", "/staff/recipients", "/staff/exports/{ready}"),
        ),
    ],
)
def test_nothing_is_cut_off_on_paper(
    browser: Browser,
    staged: Served,
    identifiers: Mapping[str, str],
    who: str,
    roles: Sequence[str],
    paths: Sequence[str],
) -> None:
    """A person's pages, and those of who receives archives, end before the edge of A4."""
    with closing(browser.new_context(locale="de-DE")) as context:
        page = context.new_page()
        add_session(context, staged, who, *roles)
        for path in paths:
            response = page.goto(f"{staged.url}{path.format_map(identifiers)}")
            assert (path, response and response.status, cut_on_paper(page)) == (path, 200, [])
            page.emulate_media(media="screen")


NAMED = (
    "home",
    "me",
    "copy-sent",
    "pull",
    "recipients",
    "recipient-to-remove",
    "provider",
    "inbox",
    "received",
    "sources",
)
"""Scenes with names that other people choose: of a provider, a sender, a source, or of the service itself."""
LONG = "Rechtsschutzversicherungsgesellschaftsmitarbeiterverwaltungen"
RENAME = """(long) => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let renamed = 0;
    while (texts.nextNode()) {
        const text = texts.currentNode.textContent.replace(/Other Care|A Care|Example Care|\\bcrm\\b/g, long);
        if (text === texts.currentNode.textContent) continue;
        texts.currentNode.textContent = text;
        renamed += 1;
    }
    return renamed;
}"""


@pytest.mark.parametrize("scene", [scene for scene in SCENES if scene.name in NAMED], ids=lambda scene: scene.name)
def test_a_long_name_breaks(browser: Browser, staged: Served, identifiers: Mapping[str, str], scene: Scene) -> None:
    """A German compound of 60 letters makes no page wider than the smallest phone, and is not cut."""
    with seen(browser, staged, scene, Variant("phone", "light", "de")) as page:
        page.set_viewport_size(NARROW)
        page.goto(f"{staged.url}{scene.path.format_map(identifiers)}")
        for act in scene.act:
            act(page, staged)
        assert page.evaluate(RENAME, LONG)
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
        assert page.evaluate(CUT) == []


def test_a_long_id_breaks(browser: Browser, staged: Served, identifiers: Mapping[str, str]) -> None:
    """The foot has the id or the address of the person, and colleagues choose it in lists.

    The longest makes no page wider than the smallest phone.
    """
    for officer in "u" * 180, "olga":
        with closing(browser.new_context(viewport=NARROW)) as context:
            add_session(context, staged, officer, "officer")
            page = context.new_page()
            for path in ("/me", "/staff", f"/staff/exports/{identifiers['failed']}"):
                page.goto(f"{staged.url}{path}")
                assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"], path


def test_the_facts_of_a_conversation_are_in_the_language_of_the_reader(browser: Browser, bag: Path) -> None:
    """The labels that tables show: channel and status of a chat, in its list and above its messages."""
    for locale, line in (("de-DE", "WhatsApp · Geschlossen"), ("en-GB", "WhatsApp · Closed"), ("id-ID", "WhatsApp · ")):
        with closing(browser.new_context(locale=locale)) as context:
            page = context.new_page()
            page.goto(f"{(bag / 'index.html').as_uri()}#chats")
            expect(page.locator(".talks a").first).to_contain_text(line)
            expect(page.locator(".talks a").first).not_to_contain_text("Whatsapp")


def test_times_say_their_zone(browser: Browser, staged: Served) -> None:
    """With script in the visitor's zone, and the foot names it; without in UTC, which each time says."""
    for script, zone in ((True, "America/Los_Angeles"), (False, "")):
        look: dict[str, Any] = {"java_script_enabled": script, "timezone_id": "America/Los_Angeles", "locale": "de-DE"}
        with closing(browser.new_context(**look)) as context:
            page = context.new_page()
            add_session(context, staged, OWNER)
            page.goto(f"{staged.url}/me/sessions")
            said = f"Zeiten sind in Ihrer Zeitzone, {zone}." if zone else ""
            expect(page.locator(".foot .zone")).to_have_text(said)
            expect(page.locator(".foot .zone")).to_be_visible(visible=bool(zone))
            assert ("UTC" in page.locator("main time").first.inner_text()) is not script
            page.goto(f"{staged.url}/nothing")
            expect(page.locator(".foot .zone")).to_be_hidden()


def test_pictures_show_each_pair() -> None:
    """Each room on each size, in each scheme and each language; each size in each scheme and language, and so on."""
    rooms = {scene.room for scene in SCENES}
    values = (rooms, SIZES, SCHEMES, languages())
    wanted = {pair for one, other in combinations(values, 2) for pair in product(one, other)}

    assert {*PEOPLE, "visitor"} == rooms
    assert set().union(*(pairs(scene.room, variant) for scene, variant in CHOSEN)) == wanted
    assert len({scene.name for scene in SCENES}) == len(SCENES)


SPACED = """* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important; }
p { margin-bottom: 2em !important; }"""
"""What people who read with difficulty set (WCAG 2.2, 1.4.12)."""
SCROLL_BAR = 15
"""What a window of 1,280 pixels at 400 % has less than 320, where the scroll bar takes room."""
WORDS_IN_CARDS = """([css, words]) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    document.adoptedStyleSheets = [sheet];
    const list = document.querySelector(".scroll:has(.cards)");
    const places = [...list.querySelectorAll(".badge, tr > td:nth-child(4)")];
    return words.filter(word => {
        for (const place of places) place.textContent = word;
        return list.scrollWidth > list.clientWidth || document.documentElement.scrollWidth > innerWidth;
    });
}"""


def test_cards_with_more_space_between_letters(
    browser: Browser, staged: Served, identifiers: Mapping[str, str]
) -> None:
    """On the smallest phone a list of requests is as wide as the screen, whatever their state and kind."""
    assert identifiers
    for language in languages():
        with closing(browser.new_context(viewport=NARROW, locale=language)) as context:
            add_session(context, staged, "olga", "officer")
            page = context.new_page()
            page.goto(f"{staged.url}/staff?state=all")
            said = sentences(language, "pages")
            words = [text for name, text in said.items() if name.startswith(("state_", "short_"))]
            assert words
            for width in NARROW["width"], NARROW["width"] - SCROLL_BAR:
                page.set_viewport_size({"width": width, "height": 640})
                assert (language, width, page.evaluate(WORDS_IN_CARDS, [SPACED, words])) == (language, width, [])


BROKEN = """() => {
    const edge = (each) => each.getBoundingClientRect().right;
    const hangsOver = (each) => edge(each) > edge(each.parentElement) + 1;
    const inTwo = (each) => {
        const range = document.createRange();
        range.selectNodeContents(each);
        return /^\\S{1,12}$/.test(each.textContent.trim()) && range.getClientRects().length > 1;
    };
    return [
        ...[...document.querySelectorAll("main :is(.facts, .counts, .grid, .pair, .steps) > *")].filter(hangsOver),
        ...[...document.querySelectorAll("main :is(.button, .quiet)")].filter(inTwo),
    ].filter(each => each.checkVisibility()).map(each => each.outerHTML.slice(0, 120));
}"""
"""Parts of a grid that hang over its edge, and buttons whose only word is in two lines."""


def test_a_scroll_bar_beside_the_smallest_page(
    browser: Browser, staged: Served, identifiers: Mapping[str, str]
) -> None:
    """At 400 % a desktop keeps its scroll bar: no word of a button is broken, and no box hangs over its card."""
    paths = ("/staff", "/staff/new", "/staff/audit", "/staff/exports/{ready}", "/staff/inbox/{received}", "/me")
    for language in languages():
        width = NARROW["width"] - SCROLL_BAR
        with closing(browser.new_context(viewport={"width": width, "height": 640}, locale=language)) as context:
            add_session(context, staged, "olga", "officer")
            page = context.new_page()
            for path in paths:
                page.goto(f"{staged.url}{path.format_map(identifiers)}")
                unfold(page)
                assert (language, path, page.evaluate(BROKEN)) == (language, path, [])
                assert page.evaluate("document.documentElement.scrollWidth") == width, path
