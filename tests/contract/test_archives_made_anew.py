"""Storage has lost an archive, and a retry makes another: what its links permit, and what counts as delivered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from factories import World

from portability.database.engine import reading, writing
from portability.delivery import downloads, links
from portability.errors import LinkInvalid
from portability.requests import retries
from portability.retention import erasure_holds
from portability.trust import audit
from worker.clock.sweep import sweep

ACTOR = "operator:test"


def link_of_token(made: World, token: str) -> Mapping[Any, Any]:
    with reading(made.engine) as connection:
        return links.resolve(connection, made.place.settings.keys, token)


def claim_of(made: World, token: str) -> str:
    """A download of the first volume that has begun; the link permits one."""
    link = link_of_token(made, token)
    with writing(made.engine) as connection:
        return links.claim(connection, link, 1, actor=ACTOR, claims_max=1, claim_seconds=600)


def downloaded(made: World, token: str, claim: str) -> None:
    """Every byte of the first volume is sent."""
    link = link_of_token(made, token)
    with writing(made.engine) as connection:
        volume = links.claimed(connection, link, 1, claim)
        download = downloads.begin(connection, link, volume, claim, device="")
        downloads.sent(connection, download, 0, volume["bytes"], is_over=True)


def held(made: World, person: str) -> list[tuple[str, ...]]:
    with reading(made.engine) as connection:
        return [subject.reasons for subject in erasure_holds.subjects(connection) if subject.id == person]


def lose_and_retry(made: World, export_id: str) -> None:
    """A sweep finds that the archive is lost, and the export is made again."""
    made.place.storage.delete(next(key for key in made.archive_keys() if key.startswith(export_id)))
    sweep(made.engine, made.place.storage, actor="clock", force=True)
    with writing(made.engine) as connection:
        retries.retry(connection, export_id, actor=ACTOR)
    made.advance_all()


@pytest.fixture
def archive_with_link(made: World) -> tuple[str, str]:
    """An export that is ready, and the token of its link."""
    export_id = made.request("user:usr_jane")
    made.advance_all()
    with writing(made.engine) as connection:
        keys = made.place.settings.keys
        link = links.issue(connection, keys, export_id, audience="login", ttl_seconds=600, actor=ACTOR)
    return export_id, link.token


def test_a_download_of_a_lost_archive_is_not_resumed(made: World, archive_with_link: tuple[str, str]) -> None:
    """Both archives have a volume 1 of one name: a claim is for the bytes of one; the link permits a new download."""
    export_id, token = archive_with_link
    claim = claim_of(made, token)
    lose_and_retry(made, export_id)
    link = link_of_token(made, token)
    with reading(made.engine) as connection, pytest.raises(LinkInvalid):
        links.claimed(connection, link, 1, claim)
    downloaded(made, token, claim_of(made, token))
    with pytest.raises(LinkInvalid):
        claim_of(made, token)


def test_an_archive_that_was_made_anew_is_not_delivered(made: World, archive_with_link: tuple[str, str]) -> None:
    """The person has the archive before it; an erasure waits until they have the later archive."""
    export_id, token = archive_with_link
    downloaded(made, token, claim_of(made, token))
    assert held(made, "usr_jane") == []
    lose_and_retry(made, export_id)
    assert held(made, "usr_jane") == [("delivery",)]
    downloaded(made, token, claim_of(made, token))
    assert held(made, "usr_jane") == []


def test_a_copy_of_a_lost_archive_is_no_copy_of_the_next(made: World, archive_with_link: tuple[str, str]) -> None:
    """An operator has fetched the archive that storage lost: the person has nothing of the later one."""
    export_id, _token = archive_with_link
    with writing(made.engine) as connection:
        audit.record(connection, "fetch.completed", actor=ACTOR, export_id=export_id, detail={"revision": 1})
    assert held(made, "usr_jane") == []
    lose_and_retry(made, export_id)
    assert held(made, "usr_jane") == [("delivery",)]
