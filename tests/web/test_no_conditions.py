"""Getting your data has no price and no conditions: nothing asks for money or for an identity document."""

from __future__ import annotations

import re

import httpx
import pytest
from repository import ROOT
from served import Served

from portability import locale
from portability.settings import Settings

MONEY = re.compile(r"\b(price|prices|fee|fees|pay|payment|charge|biaya|harga|bayar)\b", re.IGNORECASE)
FREE = re.compile(r"(free|costs? nothing|without charge|no charge|no fee|gratis|tidak dikenakan biaya)", re.IGNORECASE)


@pytest.mark.requirement("R16")
def test_no_page_and_no_endpoint_takes_a_document(served: Served) -> None:
    """A file cannot be uploaded: a logged-in person has proved who they are (EDPB 01/2022 on proportionality)."""
    pages = [path.read_text() for path in (ROOT / "web" / "templates").rglob("*.html")]
    document = httpx.get(f"{served.url}/openapi.json").json()
    bodies = {
        media_type
        for path in document["paths"].values()
        for operation in path.values()
        for media_type in operation.get("requestBody", {}).get("content", {})
    }

    assert pages
    assert not [page for page in pages if re.search(r'type="?file|multipart/', page)]
    assert "multipart/form-data" not in bodies


@pytest.mark.requirement("R21")
def test_nothing_has_a_price(served: Served) -> None:
    """No setting, no field of the API and no sentence of a page is about money, but to say that it is free."""
    sentences = [text for language in locale.languages() for text in locale.sentences(language, "pages").values()]

    assert sentences
    assert not [name for name in Settings.model_fields if MONEY.search(name.replace("_", " "))]
    assert not MONEY.search(httpx.get(f"{served.url}/openapi.json").text.replace("_", " "))
    assert not [text for text in sentences if MONEY.search(text) and not FREE.search(text)]
