"""The page of all components: where the development login is on, and there alone; nothing of the style sheet lacks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from repository import ROOT
from served import Served, serving

from portability import design
from portability.requests.states import ExportState

PATH = "/development/components"
CLASS = re.compile(r"\.(-?[a-zA-Z][\w-]*)")
OF_PAGES = {
    *("skip", "inner", "top", "brand", "corner", "languages", "foot", "contact", "narrow", "lead", "back", "hero"),
    *("columns", "grow", "downloads", "small", "bar", "links"),
}
"""Classes of the frame around each page and of its parts, beside the components."""


@pytest.fixture(scope="module")
def components(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page as a visitor without login sees it."""
    none: dict[str, Any] = {"oidc_issuer": None, "oidc_client_id": None, "oidc_client_secret": None}
    with serving(tmp_path_factory.mktemp("trial"), redis_server, development_login=True, **none) as server:
        return httpx.get(f"{server.url}{PATH}").raise_for_status().text


def test_it_is_not_in_production(served: Served) -> None:
    """Where people log in through a provider the page does not exist, for anyone."""
    with served.browser("olga", "officer") as visitor:
        assert visitor.client.get(PATH).status_code == 404


def test_each_class_of_the_style_sheet_is_shown(components: str) -> None:
    """A new component is put on the page, where its states are pictured and judged."""
    sheet = re.sub(r"/\*.*?\*/", "", (ROOT / "web" / "static" / "style.css").read_text(), flags=re.DOTALL)
    selectors = " ".join(re.findall(r"([^{};]+)\{", sheet))
    shown = {name for names in re.findall(r'class="([^"]*)"', components) for name in names.split()}

    assert {name for name in CLASS.findall(selectors) if name not in shown} - OF_PAGES == set()


def test_each_state_and_each_pair_of_colours_is_shown(components: str) -> None:
    """Cards and badges of every state of an export; every text on its ground."""
    for state in ExportState:
        assert f'class="badge {state}"' in components
        assert f'class="card standing {state}"' in components
    for ground, texts in design.TEXT_ON.items():
        swatch = components.partition(f'class="on-{ground}"')[2].partition("</li>")[0]
        assert re.findall(r'class="text-([\w-]+)"', swatch) == list(texts)


def test_the_page_has_a_style_for_each_pair() -> None:
    """Grounds and texts of the table that the page shows."""
    sheet = (Path(ROOT) / "web" / "static" / "components.css").read_text()
    texts = {text for texts in design.TEXT_ON.values() for text in texts}

    assert set(re.findall(r"\.on-([\w-]+) \{ background: var\(--\1\)", sheet)) == design.TEXT_ON.keys()
    assert set(re.findall(r"\.text-([\w-]+) \{ color: var\(--\1\)", sheet)) == texts
