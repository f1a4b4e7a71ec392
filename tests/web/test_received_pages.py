"""The list of received transfers over HTTP: with more of them than a page has."""

from __future__ import annotations

import pytest
from served import Served
from sqlalchemy import insert

from portability.database import models
from portability.database.engine import now, writing

OFFICER = ("olga", "officer")
COUNT = 201
"""One more than a page has without `limit`."""


@pytest.fixture(scope="module")
def received_ids(served: Served) -> frozenset[str]:
    """Transfers of one sender that came at the same moment; every second one waits for an officer."""
    sender = dict.fromkeys(("name", "issuer", "jwks_url", "kid", "sealed", "created_by"), "x")
    common = {"sender_id": f"snd_{0:020}", "kid": "x", "attempts": 0}
    with writing(served.world.engine) as connection:
        connection.execute(insert(models.sender).values(id=common["sender_id"], **sender, created_at=now()))
        moment = connection.scalar(models.sender.select().with_only_columns(models.sender.c.created_at))
        rows = [
            {
                **dict.fromkeys(("id", "webhook_id", "sent_id"), f"rcv_{number:020}"),
                **common,
                "state": ("compared", "imported")[number % 2],
                "created_at": moment,
                "offer_ends_at": moment,
            }
            for number in range(COUNT)
        ]
        connection.execute(insert(models.received_transfer), rows)
    return frozenset(str(row["id"]) for row in rows)


def test_a_list_of_received_transfers_says_that_it_goes_on(served: Served, received_ids: frozenset[str]) -> None:
    """Without `limit` a page has 200; `next` leads to the rest, and is null on the last page."""
    first = served.call("GET", "/v1/inbox", *OFFICER).json()
    rest = served.call("GET", "/v1/inbox", *OFFICER, params={"cursor": first["next"]}).json()
    assert [len(page["received"]) for page in (first, rest)] == [200, 1]
    assert {one["id"] for page in (first, rest) for one in page["received"]} == received_ids
    assert rest == {"received": rest["received"], "next": None}


@pytest.mark.usefixtures("received_ids")
def test_pages_of_received_transfers_hold_each_once(served: Served) -> None:
    """Those that await a decision first, also where rows of one moment and both parts meet on a page."""
    found: list[str] = []
    asked = {"limit": "40"}
    while asked:
        page = served.call("GET", "/v1/inbox", *OFFICER, params=asked).json()
        found += [one["id"] for one in page["received"]]
        asked = {"limit": "40", "cursor": page["next"]} if page["next"] else {}
    waiting, others = ([f"rcv_{number:020}" for number in range(part, COUNT, 2)][::-1] for part in (0, 1))
    assert found == [*waiting, *others]


def test_a_cursor_of_another_list_of_the_inbox_is_refused(served: Served) -> None:
    """As in the other lists of the API; so is a page of more than 200."""
    for asked in ({"cursor": "bm9uc2Vuc2U"}, {"limit": "0"}, {"limit": "201"}):
        assert served.call("GET", "/v1/inbox", *OFFICER, params=asked).is_client_error
