"""Every page in each state: nothing is cut, too wide, untranslated or inaccessible; `make pictures` keeps them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response
from scenes import PEOPLE, SCENES, WEAK, Scene, filled, stage
from sending import recorded
from served import TENANT, Served
from untranslated import left_in_source, texts_of
from variants import SCHEMES, SIZES, Variant, pairs, varied
from visits import check_accessible

from portability.locale import SOURCE, languages

FIRST = int(os.environ.get("FIRST", "0"))
"""Where the order of the variants begins: with another number each page is pictured in another way."""
CHOSEN = [*zip(SCENES, varied([scene.room for scene in SCENES], first=FIRST), strict=True)]
CUT = """() => [...document.querySelectorAll("main :is(h1, h2, h3, .button, .badge, .quiet, dd, label, summary)")]
    .filter(each => each.clientWidth && each.scrollWidth > each.clientWidth + 1)
    .map(each => each.outerHTML.slice(0, 120))"""
"""What is wider than its place: text that is cut, or hangs over."""


@pytest.fixture(scope="module")
def server(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with stage(tmp_path_factory.mktemp("pictured"), redis_server) as made:
        yield made


@pytest.fixture(scope="module")
def made(server: Served) -> Iterator[Mapping[str, str]]:
    """What is in all states."""
    with recorded(server) as other:
        yield filled(server, other)


@contextmanager
def seen(browser: Browser, server: Served, scene: Scene, variant: Variant) -> Iterator[Page]:
    """A page of a person of the room, in a variant."""
    width, height = SIZES[variant.size]
    look: dict[str, Any] = {"color_scheme": variant.scheme, "viewport": {"width": width, "height": height}}
    context = browser.new_context(locale=variant.language, timezone_id="Asia/Jakarta", **look)
    try:
        if scene.room in PEOPLE:
            roles, tenant = (() if scene.room == "subject" else (scene.room,)), {"tenant": TENANT}
            more = tenant if scene.room == "tenant_admin" else {}
            who = scene.who or PEOPLE[scene.room]
            with server.browser(who, *roles, strong=who != WEAK, **more) as visitor:
                found = [
                    {"name": each.name, "value": each.value or "", "url": server.url}
                    for each in visitor.client.cookies.jar
                ]
            context.add_cookies(found)  # type: ignore[arg-type]  # a dict of these is what it takes
        yield context.new_page()
    finally:
        context.close()


@pytest.mark.parametrize(("scene", "variant"), [pytest.param(*each, id=each[0].name) for each in CHOSEN])
def test_a_page_in_a_state(
    browser: Browser, server: Served, made: Mapping[str, str], axe: str, scene: Scene, variant: Variant, tmp_path: Path
) -> None:
    """Axe finds nothing serious, nothing is cut or wider than the screen, and no sentence is in another language."""
    folder = Path(os.environ.get("PICTURES") or tmp_path)
    with seen(browser, server, scene, variant) as page:
        statuses: list[int] = []

        def answered(answer: Response) -> None:
            if answer.request.is_navigation_request() and answer.url.startswith(server.url):
                statuses.append(answer.status)

        page.on("response", answered)
        page.goto(f"{server.url}{scene.path.format_map(made)}")
        for act in scene.act:
            act(page, server)
        name = f"{scene.room}-{scene.name}-{variant.size}-{variant.scheme}-{variant.language}.png"
        assert len(page.screenshot(path=folder / name, full_page=True)) > 5_000
        content = page.content()
        assert statuses[-1] == scene.status
        assert f'<html lang="{variant.language}"' in content
        assert variant.language == SOURCE or left_in_source(texts_of(content, variant.language), variant.language) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(CUT) == []
        check_accessible(page, axe)


def test_pictures_show_each_pair() -> None:
    """Each room on each size, in each scheme and each language; each size in each scheme and language, and so on."""
    rooms = {scene.room for scene in SCENES}
    values = (rooms, SIZES, SCHEMES, languages())
    wanted = {pair for one, other in combinations(values, 2) for pair in product(one, other)}

    assert {*PEOPLE, "visitor"} == rooms
    assert set().union(*(pairs(scene.room, variant) for scene, variant in CHOSEN)) == wanted
    assert len({scene.name for scene in SCENES}) == len(SCENES)
