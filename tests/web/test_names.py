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
APART = re.compile(f'(?:<bdi>|\u2068|dir="auto">|[a-z-]+="[^"<>]*){LETTERS}')
"""A name in an element or a character that keeps it apart, or in an attribute."""
TYPED = re.compile('<textarea[^>]*>|<input[^>]* type="search"[^>]*>|<input[^>]* name="name"[^>]*>')
"""Fields for sentences, names, and what is searched for."""


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("names")
    with sender(folder, redis_server, MadeUpExporter(things(5)), exports_per_month=100) as server:
        yield server


def check(visitor: Browser, path: str) -> None:
    """The name is on the page, kept apart each time it is there, and what follows it is in the usual order."""
    check_text(visitor.client.get(path).text, path)


def check_text(page: str, path: str) -> None:
    """The same of a page that has come already."""
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
        asked = {"kind": "user", "id": "usr_2", "reason": NAME}
        check(visitor, visitor.send("/staff/exports", page="/staff/new", **asked).headers["location"])
        recall = f"/staff/exports/{sent}/recall"
        check_text(visitor.send(recall, reason=NAME).text, recall)
        assert f"<bdi>{LETTERS}" in visitor.client.get("/staff").text
    with served.browser(OWNER) as visitor:
        for path in ("/me", f"/me/exports/{sent}", f"/me/exports/{refused}", f"/me/pulls/{handle}"):
            check(visitor, path)


def test_the_id_of_a_colleague_is_kept_apart(served: Served) -> None:
    """Providers of logins choose it: beside a note, in the list of colleagues, and in the log."""
    request = f"/staff/exports/{served.world.request('user:usr_3')}"
    with served.browser(f"{LETTERS}12", "officer") as colleague:
        assert colleague.send(f"{request}/notes", text="Called back.").status_code == 303
    with served.browser("olga", "officer") as visitor:
        page = visitor.client.get(request).text
        assert len(re.findall(f'(?:<bdi>|value="|\u2068){LETTERS}12', page)) == page.count(LETTERS) >= 2


def test_people_type_in_their_own_direction(served: Served) -> None:
    """In each field for a sentence or a name the text stands as on the page that shows it later."""
    paths = ("/staff", "/staff/new", "/staff/recipients", f"/staff/exports/{served.ready(since='2021-01-01')}")
    with served.browser("olga", "officer") as visitor:
        for path in paths:
            fields = TYPED.findall(visitor.client.get(path).text)
            assert fields, path
            assert [field for field in fields if 'dir="auto"' not in field] == [], path
