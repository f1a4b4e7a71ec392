"""Pulls on PostgreSQL and S3: two requests at once, and bytes that never come from an address without the key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
import servers
from pulling import PullClient, asked_server, consented, worked
from served import OWNER, Served
from simultaneous import in_threads
from transferring import Provider

from portability.storage import open_storage


@pytest.fixture(scope="module")
def served(
    redis_server: str,
    pg_server: servers.Postgres,
    s3_server: servers.S3Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    name = pg_server.create_database()
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in s3_server.environment.items():
            patch.setenv(variable, value)
        storage = open_storage(s3_server.url("pulls"))
        with asked_server(
            tmp_path_factory.mktemp("pulls"), redis_server, storage=storage, database_url=pg_server.url(name)
        ) as server:
            yield server
            server.world.engine.dispose()
    pg_server.drop_database(name)


@pytest.fixture
def b_care(served: Served, other: Provider) -> PullClient:
    return PullClient(served.url, other)


def test_of_two_uses_of_a_code_one_counts(served: Served, b_care: PullClient) -> None:
    """Both at once: one gets tokens, the other is a replay, which ends the consent of both."""
    with served.browser(OWNER) as visitor:
        code = b_care.code(visitor, b_care.pushed("calls"), "calls")

    answers = in_threads(2, lambda _number: b_care.exchange(code))

    assert sorted(answer["status"] for answer in answers) == [200, 400]
    (b_care.tokens,) = (answer for answer in answers if answer["status"] == 200)
    refused = b_care.call("POST", "/v1/pulls")
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")


def test_of_two_starts_one_counts(served: Served, b_care: PullClient) -> None:
    """Both at once are one copy."""
    consented(served, b_care, "calls")

    answers = in_threads(2, lambda _number: b_care.call("POST", "/v1/pulls"))

    assert sorted(answer.status_code for answer in answers) == [200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_volumes_in_object_storage_come_through_this_server(served: Served, b_care: PullClient) -> None:
    """An address of the storage would count without the key: the bytes come from here, also a part of a volume."""
    consented(served, b_care, "calls")
    here = b_care.call("POST", "/v1/pulls").headers["location"]
    worked(served)
    (volume,) = b_care.call("GET", here).json()["volumes"]

    whole = b_care.call("GET", volume["url"], allow_redirects=False)
    part = b_care.call("GET", volume["url"], allow_redirects=False, headers={"Range": "bytes=-7"})

    assert (whole.status_code, hashlib.sha256(whole.content).hexdigest()) == (200, volume["sha256"])
    assert (part.status_code, part.content) == (206, whole.content[-7:])
