"""A change is answered when it is in the journal; a page that only reads does not wait."""

from __future__ import annotations

import httpx
import pytest
from served import OWNER, Served

from portability.database.engine import reading, writing
from portability.journal import shipping
from portability.trust import keys


@pytest.fixture(autouse=True)
def _with_a_key_for_the_journal(served: Served) -> None:
    with writing(served.world.engine) as connection:
        keys.ensure(connection, served.world.place.settings.keys, purposes=("audit",), actor="operator:test")


def batches(served: Served) -> list[str]:
    return [key for key in served.world.stored_keys() if key.startswith("journal/")]


def test_an_accepted_request_is_in_the_journal_before_the_answer(served: Served) -> None:
    """By the API: 202 is a promise that a restore of the database keeps."""
    before = batches(served)
    answer = served.call("POST", "/v1/exports", json={"profile": "access", "subject": f"user:{OWNER}"})
    assert answer.status_code in {httpx.codes.ACCEPTED, httpx.codes.CREATED, httpx.codes.OK}
    assert len(batches(served)) > len(before)
    with reading(served.world.engine) as connection:
        assert shipping.waiting(connection) is None


def test_what_only_reads_ships_nothing(served: Served) -> None:
    """And a refused change neither."""
    served.call("GET", "/v1/exports")
    before = batches(served)
    served.world.request("user:usr_unshipped")
    assert served.call("GET", "/v1/exports").status_code == httpx.codes.OK
    assert served.call("POST", "/v1/exports", json={"profile": "nonsense"}).status_code >= httpx.codes.BAD_REQUEST
    assert batches(served) == before
