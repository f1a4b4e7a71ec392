"""The list of received transfers on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from factories import World
from sqlalchemy import insert

from portability.database import models
from portability.database.engine import now, writing

pytestmark = pytest.mark.slow

Run = Callable[..., Result]
STATES = ("fetched", "imported", "compared", "imported", "imported")


@pytest.fixture
def received_rows(made: World) -> tuple[str, ...]:
    """Five transfers of one sender, the oldest first, two of which wait for an officer."""
    sender = dict.fromkeys(("name", "issuer", "jwks_url", "kid", "sealed", "created_by"), "x")
    identifiers = tuple(f"rcv_{number}" for number in range(len(STATES)))
    with writing(made.engine) as connection:
        connection.execute(insert(models.sender).values(id="snd_1", **sender, created_at=now()))
        for number, (identifier, state) in enumerate(zip(identifiers, STATES, strict=True)):
            row = {"id": identifier, "sender_id": "snd_1", "webhook_id": identifier, "sent_id": identifier}
            times = {"created_at": now(number - 60), "offer_ends_at": now(600)}
            rest = {"state": state, "kid": "x", "attempts": 0}
            connection.execute(insert(models.received_transfer).values(**row, **times, **rest))
    return identifiers


def _listed_transfers(done: Result) -> list[Any]:
    assert done.exit_code == 0, done.output
    return [one["id"] for one in json.loads(done.stdout)]


def test_received_transfers_are_listed_by_state(run: Run, received_rows: tuple[str, ...]) -> None:
    """The newest first, also of a state that waits for an officer; a state that is unknown is refused."""
    assert _listed_transfers(run("inbox", "list", "--state", "imported", "--json")) == ["rcv_4", "rcv_3", "rcv_1"]
    assert _listed_transfers(run("inbox", "list", "--state", "fetched", "--json")) == ["rcv_0"]
    assert _listed_transfers(run("inbox", "list", "--state", "offered", "--json")) == []
    assert sorted(_listed_transfers(run("inbox", "list", "--json"))) == [*received_rows]
    assert run("inbox", "list", "--state", "lost").exit_code == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ["rcv_2", "rcv_0", "rcv_4", "rcv_3", "rcv_1"]),
        (("--state", "imported"), ["rcv_4", "rcv_3", "rcv_1"]),
    ],
)
@pytest.mark.usefixtures("received_rows")
def test_received_transfers_are_listed_in_pages(run: Run, words: tuple[str, ...], expected: list[str]) -> None:
    """A page names the next page, also at the border between those that wait and the others; none is lost."""
    found: list[str] = []
    cursor: tuple[str, ...] = ()
    for _page in expected:
        done = run("inbox", "list", *words, "--limit", "1", *cursor, "--json")
        found += _listed_transfers(done)
        if "--after" in done.stderr:
            assert "1 received transfer shown: --after " in done.stderr
            cursor = ("--after", done.stderr.split("--after ")[1].split()[0])
    assert found == expected
    assert done.stderr == ""
    assert "bad_input" in run("inbox", "list", *words, "--after", "x").output
