"""The deployment's own name, mark and colours on its pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from repository import ROOT
from served import Served, serving

from portability import design
from portability.brand import NAME


@pytest.fixture(scope="module")
def branded(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a brand of its own."""
    folder = tmp_path_factory.mktemp("branded")
    brand: dict[str, Any] = {
        "brand_name": "Acme <Data>",
        "brand_mark": "Ac",
        "brand_colour": "#0a7d33",
        "contact": "dpo@acme.example",
    }
    with serving(folder, redis_server, **brand) as server:
        yield server


def _links(page: str) -> dict[str, str]:
    """What the page loads: its mark and its style sheets."""
    found = re.findall(r'(?:href|src)="(/(?:brand|static)/[^"]+)"', page)
    return {address.partition("?")[0]: address for address in found}


def test_pages_have_the_name_the_contact_and_the_colours(branded: Served) -> None:
    """The name is escaped, the mark has its colour, and the style sheet names values that are declared before it."""
    page = httpx.get(f"{branded.url}/").text
    assert "Acme &lt;Data&gt; <small>" in page
    assert " · Acme &lt;Data&gt;</title>" in page
    assert "dpo@acme.example" in page
    links = _links(page)
    assert list(links).index("/brand/style.css") < list(links).index("/static/style.css")
    style = httpx.get(f"{branded.url}{links['/brand/style.css']}")
    assert (style.headers["content-type"], "--accent: #0a7d33" in style.text) == ("text/css; charset=utf-8", True)
    mark = httpx.get(f"{branded.url}{links['/brand/mark']}")
    assert mark.headers["content-type"] == "image/svg+xml"
    assert ">Ac</text>" in mark.text
    assert 'fill="#0a7d33"' in mark.text


def test_browsers_keep_them_for_long_and_run_nothing(branded: Served) -> None:
    """Their addresses change with their content; opened alone, an image has the policy of every page."""
    for address in _links(httpx.get(f"{branded.url}/").text).values():
        headers = httpx.get(f"{branded.url}{address}").headers
        assert "immutable" in headers["cache-control"]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert address.partition("?")[2]


def test_a_fault_of_ours_has_the_name(branded: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the page that is made of nothing that could have failed."""

    def fail(*_arguments: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("web.rendering.page", fail)
    answer = httpx.get(f"{branded.url}/")
    assert answer.status_code == 500
    assert "<title>Acme &lt;Data&gt;</title>" in answer.text


def test_without_a_brand_pages_are_neutral(served: Served) -> None:
    """The software's name and its mark; the values of the design are unchanged."""
    page = httpx.get(f"{served.url}/").text
    links = _links(page)
    assert f"{NAME} <small>" in page
    assert httpx.get(f"{served.url}{links['/brand/style.css']}").text == design.STYLE
    built_in = (ROOT / "web" / "static" / "mark.svg").read_text()
    assert httpx.get(f"{served.url}{links['/brand/mark']}").text == built_in
