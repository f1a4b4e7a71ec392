"""Names that other people choose turn nothing around: right to left, with overrides, lines, tags, emoji, and long."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from factories import MadeUpExporter, things
from pulling import PullClient
from received_steps import decidable, recorded_sender
from sending import sender
from served import OWNER, Browser, Served
from sqlalchemy import update
from transferring import EXPORTER, Provider

from portability.database import models
from portability.database.engine import writing

LETTERS = "נמר"
NAME = f"{LETTERS} 12 👩\u200d👧 e\u0301 \u202egnp.exe\u202c</b>\n\u2067{'x' * 60}"
"""Hebrew, a number, a family, a combining mark, an override, a tag, a line, an isolate that does not end, no space."""
APART = re.compile(f'(?:<bdi>|\u2068|dir="auto">|[a-z-]+="[^"<>]*|<option[^>]*>\u2068){LETTERS}')
"""A name in an element or a character that keeps it apart, or in an attribute."""


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("names")
    with sender(folder, redis_server, MadeUpExporter(things(5)), exports_per_month=100) as server:
        yield server


def check(visitor: Browser, path: str) -> None:
    """The name is on the page, kept apart each time it is there, and what follows it is in the usual order."""
    page = visitor.client.get(path).text
    assert LETTERS in page, path
    assert len(APART.findall(page)) == page.count(LETTERS), path
    assert not set(page) & set("\u202a\u202b\u202c\u202d\u202e"), path
    assert sum(page.count(opener) for opener in "\u2066\u2067\u2068") == page.count("\u2069"), path
    assert "👩\u200d👧 e\u0301" in page
    assert "gnp.exe&lt;/b&gt;" in page


def test_a_name_is_kept_apart_on_each_page(served: Served, other: Provider) -> None:
    """Of a recipient, a sender and a list, and in a note and the reason of a refusal."""
    sent, refused = served.ready(profile="portability"), served.world.request(f"user:{OWNER}", since="2020-01-01")
    asking = PullClient(served.url, other)
    handle = asking.pushed(EXPORTER).rpartition(":")[2]
    received = decidable(served.world, recorded_sender(served.world), f"user:{OWNER}")
    with served.browser(OWNER) as visitor:
        assert visitor.send(f"/me/exports/{sent}/transfers", recipient=other.recipient, agreed="yes").status_code == 303
    with writing(served.world.engine) as connection:
        for table in (models.recipient, models.sender):
            connection.execute(update(table).values(name=NAME))
    with served.browser("olga", "officer") as visitor:
        visitor.send("/staff/views", page="/staff", name=NAME.replace("\n", " ")[:60])
        visitor.send(f"/staff/exports/{sent}/notes", text=NAME)
        visitor.send(f"/staff/exports/{refused}/deny", reason=NAME, confirmed="yes")
        for path in ("/staff/recipients", "/staff/inbox", f"/staff/inbox/{received}", f"/staff/exports/{sent}"):
            check(visitor, path)
        assert f"<bdi>{LETTERS}" in visitor.client.get("/staff").text
    with served.browser(OWNER) as visitor:
        for path in ("/me", f"/me/exports/{sent}", f"/me/exports/{refused}", f"/me/pulls/{handle}"):
            check(visitor, path)
