"""The pages of the documentation are what the application has."""

from __future__ import annotations

import re

import httpx
from repository import ROOT, table
from served import Served

from web.problems import STATUS

DOCS = ROOT / "docs"


def test_the_status_table_is_the_status_table() -> None:
    """docs/api.md has every error with a status of its own, and no other."""
    rows = {row["error"].strip("`"): int(row["status"]) for row in table(DOCS / "api.md", "error")}
    assert rows == {error.__name__: status for error, status in STATUS.items()}


def test_every_path_of_the_api_is_on_its_page(served: Served) -> None:
    """docs/api.md names every path of the OpenAPI document."""
    text = (DOCS / "api.md").read_text()
    for path in httpx.get(f"{served.url}/openapi.json").json()["paths"]:
        named = re.sub(r"{\w+_id}", "{id}", path)
        last = "/" + named.rpartition("/")[2]
        assert named in text or f"`{last}`" in text, named
