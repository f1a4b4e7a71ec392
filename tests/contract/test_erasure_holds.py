"""Whose data must not be erased now: between a request and its delivery only with an officer's recorded ground."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from factories import World
from long_history import fill_archives, rows_read
from sqlalchemy import select, update
from transferring import Provider, authorised, encrypted, ready, sending_world, started

from portability.api import Identity
from portability.api.errors import BadInput, PortabilityError
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.delivery import links
from portability.errors import WrongState
from portability.requests import approvals, exports, reviews
from portability.requests.approvals import Cause
from portability.requests.policy import Actor
from portability.requests.states import ExportState
from portability.requests.transition import transition
from portability.retention import erasure_holds, erasure_previews, erasures, legal_holds
from portability.retention.erasures import Whom
from portability.trust import audit
from worker.clock import erasure

JANE, OLGA = Whom("user", "usr_jane", None), "officer:olga"


def held(made: World) -> list[tuple[str, tuple[str, ...]]]:
    with reading(made.engine) as connection:
        return [(one.id, tuple(map(str, one.reasons))) for one in erasure_holds.subjects(connection)]


def begin(made: World, **how: Any) -> None:
    with writing(made.engine) as connection:
        erasures.begin(connection, JANE, reason="ticket 7", actor=OLGA, **how)


def archived(made: World) -> str:
    identifier = made.request("user:usr_jane")
    made.advance_all()
    return identifier


def download(made: World, export_id: str) -> None:
    """The person downloads every volume."""
    with writing(made.engine) as connection:
        for volume in exports.stored_volumes(connection, export_id):
            link = links.issue(connection, made.place.settings.keys, export_id, ttl_seconds=600, actor="subject:jane")
            found = links.resolve(connection, made.place.settings.keys, link.token)
            links.claim(connection, found, volume["number"], actor="subject:jane", claims_max=5, claim_seconds=60)
        connection.execute(update(models.link_claim).values(downloaded_at=now()))


def test_a_preview_says_what_the_erasure_would_answer(made: World) -> None:
    """With the same arguments: nothing stored, a running request, a ready archive without and with a ground, begun."""
    seen = [previewed_and_begun(made, Whom("user", "usr_nobody", None))]
    first = made.request("user:usr_jane")
    seen += [previewed_and_begun(made), previewed_and_begun(made, cancel_running=True)]
    made.advance_all()
    seen.append(previewed_and_begun(made))
    with reading(made.engine) as connection:
        found = erasure_previews.preview(connection, JANE, reason="ticket 7")
    assert [(identifier, str(reason)) for identifier, reason in found.held_by] == [(first, "delivery")]
    assert (found.extent.exports, found.extent.running, found.extent.volumes) == (1, 0, 1)
    seen += [previewed_and_begun(made, ground="subject"), previewed_and_begun(made)]
    codes = ["", "exports_running", "not_delivered", "not_delivered", "", ""]
    assert seen == [(code, code) for code in codes]
    with reading(made.engine) as connection:
        assert erasure_previews.preview(connection, JANE, reason="ticket 7").begun


def previewed_and_begun(made: World, whom: Whom = JANE, **how: Any) -> tuple[str, str]:
    """The code of the refusal of an erasure, by its preview and by itself; empty: it begins, or runs."""
    with reading(made.engine) as connection:
        found = erasure_previews.preview(connection, whom, reason="ticket 7", **how)
    previewed = found.refusal.code if found.refusal else ""
    try:
        with writing(made.engine) as connection:
            erasures.begin(connection, whom, reason="ticket 7", actor=OLGA, **how)
    except PortabilityError as error:
        return previewed, error.code
    return previewed, ""


@pytest.mark.requirement("R8")
def test_a_request_without_an_answer_prevents_an_erasure(made: World) -> None:
    """While it waits for a person, and also after it failed; each is named for the platform's deletion job."""
    identifier = made.request("user:usr_jane")
    with writing(made.engine) as connection:
        approvals.ask(connection, identifier, [Cause.OTHER_PEOPLE], actor=Actor("officer", "olga"))
    assert held(made) == [("usr_jane", ("request",))]
    with pytest.raises(erasures.NotDelivered):
        begin(made, cancel_running=True)


@pytest.mark.requirement("R8")
def test_a_failed_request_prevents_an_erasure(made: World) -> None:
    """The person has no answer: the data is needed for the retry."""
    identifier = made.request("user:usr_jane")
    with writing(made.engine) as connection:
        running = transition(connection, exports.lock(connection, identifier), ExportState.RUNNING, actor="worker")
        transition(connection, running, ExportState.FAILED, actor="worker")
    assert held(made) == [("usr_jane", ("request",))]
    with pytest.raises(erasures.NotDelivered):
        begin(made)


@pytest.mark.requirement("R8")
def test_an_archive_that_no_one_has_downloaded_prevents_an_erasure(made: World) -> None:
    """Ready is not delivered; after the download of all volumes the subject may be erased, and no other."""
    other, identifier = made.request("user:usr_other"), archived(made)
    assert sorted(held(made)) == [("usr_jane", ("delivery",)), ("usr_other", ("delivery",))]
    with pytest.raises(erasures.NotDelivered, match="not downloaded: 1"):
        begin(made)
    download(made, identifier)
    assert held(made) == [("usr_other", ("delivery",))]
    download(made, other)
    assert held(made) == []
    begin(made)


@pytest.mark.requirement("R8")
def test_what_another_provider_has_downloaded_is_not_delivered(tmp_path: Path, other: Provider) -> None:
    """It may refuse the copy; the person has it once the provider has confirmed it, in its last revision."""
    made = sending_world(tmp_path)
    authorised(made, other.recorded(made))
    export_id = ready(made)
    transfer_id = started(made, export_id, other.recipient)
    encrypted(made)
    with writing(made.engine) as connection:
        of_transfer = models.link.c.transfer_id == transfer_id
        given = {"link_id": connection.scalar(select(models.link.c.id).where(of_transfer)), "volume": 1}
        times = dict.fromkeys(("created_at", "expires_at", "downloaded_at"), now())
        connection.execute(models.link_claim.insert().values(**given, claim_sha256="0" * 64, **times))
    assert held(made) == [("usr_1", ("delivery",))]
    for state, revision, seen in (("refused", 1, 1), ("delivered", 1, 0), ("delivered", 2, 1)):
        with writing(made.engine) as connection:
            connection.execute(update(models.transfer).values(state=state))
            connection.execute(update(models.export).values(revision=revision))
        assert len(held(made)) == seen, (state, revision)
    with writing(made.engine) as connection:
        # Storage lost the archive that was sent, and it is made anew.
        connection.execute(update(models.export).values(revision=1, began_at=now()))
    assert held(made) == [("usr_1", ("delivery",))]


@pytest.mark.requirement("R8")
def test_what_was_downloaded_before_a_retry_is_not_delivered(made: World) -> None:
    """The volumes of the failed attempt are gone: their numbers count for nothing."""
    identifier = archived(made)
    download(made, identifier)
    assert held(made) == []
    with writing(made.engine) as connection:
        connection.execute(update(models.volume).values(number=models.volume.c.number + 1))
    assert held(made) == [("usr_jane", ("delivery",))]


@pytest.mark.requirement("R8")
def test_an_open_review_prevents_an_erasure(made: World) -> None:
    """A further revision may deliver the record: its row in the source is needed."""
    identifier = archived(made)
    download(made, identifier)
    with writing(made.engine) as connection:
        unclear = Identity("calls", "call_id", "call_9", tenant="ten_1")
        reviews.note(connection, exports.get(connection, identifier), [(unclear, "calls/calls")])
    assert held(made) == [("usr_jane", ("remainder",))]
    with pytest.raises(erasures.NotDelivered):
        begin(made)


@pytest.mark.requirement("R8")
def test_an_officer_permits_it_with_a_ground(made: World) -> None:
    """The ground is stored with the request, also after the erasure, and in the audit log."""
    identifier = archived(made)
    with pytest.raises(BadInput):
        begin(made, ground="because")
    begin(made, ground="subject")
    erasure.advance(made.engine, lambda: made.place.storage)
    with reading(made.engine) as connection:
        row = exports.get(connection, identifier)
        (event,) = (
            one for one in audit.events(connection, export_id=identifier) if one["action"] == "export.erasure_permitted"
        )
    assert (row["erasure_ground"], row["subject_id"]) == ("subject", "")
    assert (event["actor"], event["detail"]) == (OLGA, {"ground": "subject"})


def test_a_ground_for_the_platform_s_own_job(made: World) -> None:
    """After `holds permit` the subject is not in the list, and a second ground is refused."""
    identifier = archived(made)
    with writing(made.engine) as connection:
        erasure_holds.permit(connection, [identifier], "court", actor=OLGA)
    assert held(made) == []
    with writing(made.engine) as connection, pytest.raises(WrongState):
        erasure_holds.permit(connection, [identifier], "law", actor=OLGA)


def test_a_legal_hold_is_in_the_list(made: World) -> None:
    """With the reasons of its requests, and until it is released."""
    archived(made)
    with writing(made.engine) as connection:
        hold = legal_holds.add(connection, subject="user:usr_jane", tenant=None, reason="case 1", actor=OLGA)
        legal_holds.add(connection, subject="contact:con_x", tenant="ten_x", reason="case 2", actor=OLGA)
    assert held(made) == [("con_x", ("legal_hold",)), ("usr_jane", ("delivery", "legal_hold"))]
    with writing(made.engine) as connection:
        legal_holds.release(connection, hold, actor=OLGA)
        (other,) = connection.scalars(select(models.legal_hold.c.id).where(models.legal_hold.c.id != hold))
        legal_holds.release(connection, other, actor=OLGA)
    assert held(made) == [("usr_jane", ("delivery",))]


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_a_deletion_job_reads_the_requests_of_the_subject_that_it_asks_about(made: World) -> None:
    """It asks before each deletion: it read all archives that no one had fetched, also those of other people."""
    fill_archives(made.engine, 2_000)
    with writing(made.engine) as connection:
        legal_holds.add(connection, subject="user:usr_new8", tenant=None, reason="case", actor=OLGA)
    found: list[tuple[str, str]] = []

    def ask() -> None:
        with reading(made.engine) as connection:
            for subject in (("user", "usr_new7", None), ("user", "usr_new8", None), ("user", "usr_nobody", None)):
                found.extend((one.id, "+".join(one.reasons)) for one in erasure_holds.subjects(connection, subject))

    assert rows_read(made.engine, ask) < 60
    assert found == [("usr_new7", "delivery"), ("usr_new8", "delivery+legal_hold")]
