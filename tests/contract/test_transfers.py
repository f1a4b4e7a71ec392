"""Transfers on both databases and both storages: authorised, encrypted, offered, and ended at once where they must."""

from __future__ import annotations

import hashlib
import random
import secrets
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyrage
import pytest
from factories import World
from faults import Killed
from simultaneous import in_threads
from sqlalchemy import Connection, delete, select, update
from transferring import (
    EXPORTER,
    OWNER,
    TEST,
    Provider,
    authorised,
    encrypted,
    ready,
    sending_world,
    started,
    step,
    view,
)

from portability.api.errors import BadInput, StorageFull, StorageUnavailable
from portability.api.storages import Storage, Upload
from portability.database import incidents, models
from portability.database.engine import now, open_engine, reading, writing
from portability.database.incidents import Incident
from portability.delivery import links
from portability.errors import BadDate, LinkInvalid, ReasonRequired, WrongState
from portability.requests import approvals, earlier_revisions, exports
from portability.requests.policy import Actor
from portability.retention import erasures, recalls
from portability.retention.erasures import Whom
from portability.transfers import authorisations, receipts, recipient_removal, sending
from portability.transfers.authorisations import NotAuthorised
from portability.transfers.receipts import Receipt, Status
from portability.trust import audit, keys
from portability.trust.signing import TRANSFER_TYPE, Jwks, check
from worker import transfer
from worker.clock import erasure, expiry, orphans
from worker.write.withdraw import withdraw_copies

COPY = models.transfer_copy


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    return sending_world(tmp_path, database_url=control_url)


def copies(made: World) -> list[dict[str, Any]]:
    with reading(made.engine) as connection:
        return [dict(row) for row in connection.execute(select(COPY).order_by(COPY.c.number)).mappings()]


def encrypted_keys(made: World) -> set[str]:
    return {found.key for found in made.place.storage.list() if found.key.endswith(".age")}


def actions(made: World, export_id: str) -> list[str]:
    with reading(made.engine) as connection:
        return [event["action"] for event in audit.events(connection, export_id=export_id)]


@pytest.mark.requirement("R39", "R46")
def test_volumes_are_encrypted_to_the_recipient_and_offered(
    control_url: str, tmp_path: Path, archives: Storage, other: Provider
) -> None:
    """Each volume has a copy that the recipient's key opens to the very bytes; the statement names all hashes."""
    made = sending_world(tmp_path / "made", volumes=2, database_url=control_url, storage=archives)
    recipient = other.recorded(made)
    consent = authorised(made, recipient)
    export_id = ready(made)
    transfer_id = started(made, export_id, recipient)

    encrypted(made)

    seen = view(made, transfer_id)
    with reading(made.engine) as connection:
        volumes = exports.stored_volumes(connection, export_id)
        stored = sending.copies(connection, transfer_id)
        statement = sending.get(connection, transfer_id)["statement"]
        listed = sending.listed(connection, sending.get(connection, transfer_id))
        jwks = Jwks.parse(orjson.loads(orjson.dumps(keys.jwks(connection))))
        export = exports.get(connection, export_id)
    claims = check(statement, jwks, typ=TRANSFER_TYPE)
    document = orjson.loads(listed)
    assert seen["state"] == "offered"
    assert claims["list"] == {
        "volumes": len(stored),
        "bytes": len(listed),
        "sha256": hashlib.sha256(listed).hexdigest(),
    }
    assert (document["transfer"], document["closing"]) == (transfer_id, claims["closing"])
    assert len(stored) == len(volumes) > 1
    proofs = hashlib.sha256()
    for volume, copy, named in zip(volumes, stored, document["volumes"], strict=True):
        plain = b"".join(made.place.storage.read(volume["object_key"]))
        sent = b"".join(made.place.storage.read(copy["object_key"]))
        assert pyrage.decrypt(sent, [other.identity]) == plain
        proofs.update(hashlib.sha256(bytes.fromhex(claims["nonce"]) + sent).digest())
        assert named == {
            "number": volume["number"],
            "name": f"{volume['name']}.zip",
            "bytes": len(plain),
            "sha256": hashlib.sha256(plain).hexdigest(),
            "encrypted": {
                "name": f"{volume['name']}.zip.age",
                "bytes": len(sent),
                "sha256": hashlib.sha256(sent).hexdigest(),
            },
        }
    with reading(made.engine) as connection:
        assert sending.get(connection, transfer_id)["possession"] == proofs.hexdigest()
    assert proofs.hexdigest() not in statement + listed.decode()
    stated = {name: claims[name] for name in ("iss", "aud", "jti", "sub", "profile", "export", "revision", "consent")}
    assert stated == {
        "iss": made.place.settings.iss,
        "aud": "localhost",
        "jti": transfer_id,
        "sub": export["subject_ref"],
        "profile": "portability",
        "export": export_id,
        "revision": 1,
        "consent": consent,
    }
    assert claims["exp"] > claims["iat"]


def test_a_volume_that_was_passed_over_gets_its_copy(
    control_url: str, tmp_path: Path, archives: Storage, other: Provider
) -> None:
    """Copies are made in order, each after the last; nothing is offered while a copy is missing among them."""
    made = sending_world(tmp_path / "made", volumes=4, database_url=control_url, storage=archives)
    recipient = other.recorded(made)
    authorised(made, recipient)
    export_id = ready(made)
    transfer_id = started(made, export_id, recipient)
    with reading(made.engine) as connection:
        numbers = [volume["number"] for volume in exports.stored_volumes(connection, export_id)]

    assert step(made)
    assert step(made)
    first, second = copies(made)
    with writing(made.engine) as connection:
        connection.execute(delete(COPY).where(COPY.c.id == first["id"]))
    assert step(made)
    assert [copy["number"] for copy in copies(made)] == [second["number"], numbers[2]]
    encrypted(made)

    assert view(made, transfer_id)["state"] == "offered"
    assert [copy["number"] for copy in copies(made)] == numbers
    assert len(numbers) >= 3


@pytest.mark.requirement("R46")
def test_nothing_is_sent_without_an_authorisation_that_covers_all_of_it(made: World, other: Provider) -> None:
    """None, another person's, another recipient's, expired, revoked or used: each names the reason."""
    recipient = other.recorded(made)
    export_id = ready(made)
    with pytest.raises(NotAuthorised):
        started(made, export_id, recipient)
    authorised(made, recipient, subject="user:usr_2", actor=Actor("subject", "usr_2"))
    with pytest.raises(NotAuthorised):
        started(made, export_id, recipient)
    authorised(made, recipient, datasets=["chats"])
    with pytest.raises(NotAuthorised, match=f"{EXPORTER}/things"):
        started(made, export_id, recipient)
    over = authorised(made, recipient, until=datetime.now(UTC) + timedelta(hours=1))
    with writing(made.engine) as connection:
        gone = update(models.authorisation).where(models.authorisation.c.id == over)
        connection.execute(gone.values(expires_at=now(-1)))
    revoked = authorised(made, recipient)
    with writing(made.engine) as connection:
        authorisations.revoke(connection, revoked, actor=TEST)
    with pytest.raises(NotAuthorised):
        started(made, export_id, recipient)
    authorised(made, recipient)
    first = started(made, export_id, recipient)
    with writing(made.engine) as connection:
        sending.revoke(connection, first, actor=TEST)
    with pytest.raises(NotAuthorised):
        started(made, export_id, recipient)


def test_a_recipient_gets_no_more_than_it_may(made: World, other: Provider) -> None:
    """What is recorded of the recipient bounds what can be authorised for it."""
    recipient = other.recorded(made, datasets=["chats"])

    with pytest.raises(BadInput, match=EXPORTER):
        authorised(made, recipient)


def test_only_what_is_made_for_another_provider_and_ready_can_be_sent(made: World, other: Provider) -> None:
    """`access` is for the person; what is not ready is nothing; what is on its way is not sent twice."""
    recipient = other.recorded(made)
    authorised(made, recipient, until=datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(WrongState, match="access"):
        started(made, ready(made, profile="access"), recipient)
    waiting = made.request("user:usr_1", profile="portability", include=[EXPORTER])
    with pytest.raises(WrongState, match="queued"):
        started(made, waiting, recipient)
    made.advance_all()
    first = started(made, waiting, recipient)
    with pytest.raises(WrongState, match=f"transfer {first} already"):
        started(made, waiting, recipient)


def test_another_persons_consent_needs_evidence(made: World, other: Provider) -> None:
    """The subject's own word needs no evidence; its end is within a year."""
    recipient = other.recorded(made)
    with pytest.raises(ReasonRequired):
        authorised(made, recipient, actor=Actor("officer", "olga"))
    authorised(made, recipient, actor=Actor("officer", "olga"), evidence="ticket 17")
    for until in (datetime.now(UTC) - timedelta(seconds=1), datetime.now(UTC) + timedelta(days=400)):
        with pytest.raises(BadDate):
            authorised(made, recipient, until=until)


def held(made: World, other: Provider) -> tuple[str, str]:
    recipient = other.recorded(made, country="SG")
    authorised(made, recipient)
    export_id = ready(made)
    return export_id, started(made, export_id, recipient)


@pytest.mark.requirement("R47")
def test_a_country_without_protection_waits_for_a_human(made: World, other: Provider) -> None:
    """The transfer waits until a person other than the requester approves it; then it continues automatically."""
    export_id, transfer_id = held(made, other)
    assert not step(made)
    assert view(made, transfer_id)["state"] == "held"
    with reading(made.engine) as connection:
        assert [row["cause"] for row in approvals.waiting(connection, export_id)] == ["abroad"]

    with writing(made.engine) as connection:
        approvals.approve(connection, export_id, actor=Actor("officer", "olga"))
    encrypted(made)

    assert view(made, transfer_id)["state"] == "offered"


def test_a_human_may_say_no(made: World, other: Provider) -> None:
    """Then nothing is encrypted; the export itself stays what it was."""
    export_id, transfer_id = held(made, other)

    with writing(made.engine) as connection:
        approvals.deny(connection, export_id, reason="no safeguard there", actor=Actor("officer", "olga"))

    assert not step(made)
    assert view(made, transfer_id)["state"] == "denied"
    assert made.view(export_id)["state"] == "ready"
    assert "transfer.denied" in actions(made, export_id)


@pytest.mark.requirement("R47")
def test_a_tenant_pinned_elsewhere_sends_nothing(control_url: str, tmp_path: Path, other: Provider) -> None:
    """The archives are in one region; a tenant that requires another region is refused (R47)."""
    pinned: dict[str, Any] = {
        "storage_region": "ap-southeast-3",
        "tenant_regions": "ten_a=eu-central-1,ten_b=ap-southeast-3",
    }
    made = sending_world(tmp_path, database_url=control_url, **pinned)
    recipient = other.recorded(made)
    for tenant in ("ten_a", "ten_b"):
        authorised(made, recipient, subject=f"tenant:{tenant}", actor=Actor("tenant_admin", "adm", tenant))
    away, here = (ready(made, f"tenant:{tenant}", "switch") for tenant in ("ten_a", "ten_b"))

    with pytest.raises(sending.WrongRegion):
        started(made, away, recipient)
    started(made, here, recipient)


class Interrupting:
    """A storage during whose uploads something happens."""

    def __init__(self, storage: Storage, happen: Any, *, at: str = "write") -> None:
        self._storage, self._happen, self._at = storage, happen, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def begin(self, key: str, **more: Any) -> Any:
        if self._at == "begin" and key.endswith(".age"):
            self._happen()
        upload = self._storage.begin(key, **more)
        return _Interrupted(upload, self._happen, self._at) if key.endswith(".age") else upload


class _Interrupted:
    def __init__(self, upload: Upload, happen: Any, at: str) -> None:
        self._upload, self._happen, self._at = upload, happen, at

    def __getattr__(self, name: str) -> Any:
        if name == self._at:
            self._happen()
        return getattr(self._upload, name)


def through(made: World, happen: Any, at: str = "write") -> World:
    place = made.place
    storage: Any = Interrupting(place.storage, happen, at=at)
    return World(type(place)(place.settings, place.engine, storage, place.exporters), made.folder)


def under_way(made: World, other: Provider) -> tuple[str, str, str]:
    recipient = other.recorded(made)
    consent = authorised(made, recipient)
    export_id = ready(made)
    return export_id, started(made, export_id, recipient), consent


@pytest.mark.requirement("R46", "R48")
@pytest.mark.parametrize("whose", ["authorisation", "transfer", "recipient", "recall"])
def test_what_is_taken_back_stops_half_way(made: World, other: Provider, whose: str) -> None:
    """While a volume is being encrypted: the worker writes nothing more, and the copies are deleted."""
    export_id, transfer_id, consent = under_way(made, other)

    def take_back() -> None:
        with writing(made.engine) as connection:
            match whose:
                case "authorisation":
                    authorisations.revoke(connection, consent, actor=TEST)
                case "transfer":
                    sending.revoke(connection, transfer_id, actor=TEST)
                case "recipient":
                    recipient_removal.remove(connection, other.recipient, actor=TEST)
                case _:
                    recalls.recall(connection, export_id, reason="wrong person", actor=TEST)

    happened: list[bool] = []

    def once() -> None:
        if not happened:
            happened.append(True)
            take_back()

    assert step(through(made, once))

    assert view(made, transfer_id)["state"] == "revoked"
    assert not step(made)
    withdraw_copies(made.engine, lambda: made.place.storage)
    assert copies(made) == []
    assert encrypted_keys(made) == set()
    assert list(made.place.storage.uploads()) == []
    assert "transfer.offered" not in actions(made, export_id)
    assert "transfer.revoked" in actions(made, export_id)


def test_a_copy_whose_upload_begins_after_it_was_taken_back(made: World, other: Provider) -> None:
    """The clock has looked for it between its note and its upload: the worker deletes what it has stored."""
    _export_id, transfer_id, consent = under_way(made, other)
    looked: list[int] = []

    def take_back() -> None:
        if looked:
            return
        with writing(made.engine) as connection:
            authorisations.revoke(connection, consent, actor=TEST)
        looked.append(withdraw_copies(made.engine, lambda: made.place.storage))

    assert step(through(made, take_back, at="begin"))

    assert (looked, view(made, transfer_id)["state"]) == ([1], "revoked")
    assert (encrypted_keys(made), list(made.place.storage.uploads())) == (set(), [])


def link_of(made: World, transfer_id: str) -> dict[str, Any]:
    with reading(made.engine) as connection:
        query = select(models.link).where(models.link.c.transfer_id == transfer_id)
        return dict(connection.execute(query).mappings().one())


def test_what_was_offered_is_taken_back_too(made: World, other: Provider) -> None:
    """Its link ends at the same moment, no webhook is sent any more, and its copies are deleted."""
    export_id, transfer_id, consent = under_way(made, other)
    encrypted(made)
    assert len(encrypted_keys(made)) == 1

    with writing(made.engine) as connection:
        authorisations.revoke(connection, consent, actor=TEST)

    assert link_of(made, transfer_id)["revoked_at"] is not None
    with reading(made.engine) as connection:
        hook = connection.execute(select(models.webhook)).mappings().one()
    assert (hook["state"], hook["sealed"]) == ("dropped", None)
    assert withdraw_copies(made.engine, lambda: made.place.storage) == 1
    assert encrypted_keys(made) == set()
    assert "copy.deleted" in actions(made, export_id)


@pytest.mark.parametrize("at", ["write", "complete"])
def test_a_killed_worker_leaves_nothing_and_the_next_one_continues_at_the_volume(
    control_url: str, tmp_path: Path, other: Provider, at: str
) -> None:
    """Killed at every volume in turn, before its bytes and before its end: each copy is stored once, and no more."""
    made = sending_world(tmp_path, volumes=2, database_url=control_url)
    export_id, transfer_id, _consent = under_way(made, other)

    def die() -> None:
        raise Killed

    with reading(made.engine) as connection:
        volumes = exports.stored_volumes(connection, export_id)
    for _ in volumes:
        with pytest.raises(Killed):
            step(through(made, die, at))
        with writing(made.engine) as connection:
            connection.execute(update(models.transfer).values(lease_until=now(-1)))
        assert step(made)
    encrypted(made)

    rows = copies(made)
    assert view(made, transfer_id)["state"] == "offered"
    assert {row["state"] for row in rows} == {"stored"}
    assert encrypted_keys(made) == {row["object_key"] for row in rows}
    assert [row["number"] for row in rows] == [volume["number"] for volume in volumes]
    assert len(rows) > 1
    assert list(made.place.storage.uploads()) == []


def test_an_old_worker_writes_nothing(made: World, other: Provider) -> None:
    """A worker whose lease has expired finds its fence replaced: its successor's copy is the one that counts."""
    _export_id, transfer_id, _consent = under_way(made, other)
    zombie = transfer.claim(made.engine, "zombie", 60)
    assert zombie is not None
    with writing(made.engine) as connection:
        connection.execute(update(models.transfer).values(lease_until=now(-1)))
    encrypted(made)
    stored = copies(made)

    assert not transfer.advance(made.place, zombie)

    assert copies(made) == stored
    assert view(made, transfer_id)["state"] == "offered"


def test_what_is_away_is_tried_again_and_given_up_in_the_end(made: World, other: Provider) -> None:
    """Storage away: back-off with its code, then `failed`; an operator sees it counted."""
    export_id, transfer_id, _consent = under_way(made, other)

    def away() -> None:
        raise StorageUnavailable("away")

    broken = through(made, away)
    step(broken)
    assert view(made, transfer_id) | {"state": "queued", "error_code": "storage_unavailable"} == view(made, transfer_id)
    for _ in range(100):
        if not step(broken):
            break

    assert view(made, transfer_id)["state"] == "failed"
    assert "transfer.failed" in actions(made, export_id)


def test_a_copy_without_room_is_counted_as_a_volume_is(made: World, other: Provider) -> None:
    """An operator hears of a full storage at once, also where only copies are written; they continue automatically."""
    _export_id, transfer_id, _consent = under_way(made, other)

    def fail() -> None:
        raise StorageFull("no room")

    step(through(made, fail))
    assert view(made, transfer_id)["error_code"] == "storage_full"
    counted = {row["kind"]: row["count"] for row in incidents.counted(made.engine)}
    assert counted == {Incident.STORAGE_FULL: 1}
    encrypted(made)
    assert view(made, transfer_id)["state"] == "offered"


def test_a_transfer_waits_while_what_is_missing_is_fetched(made: World, other: Provider) -> None:
    """A retry of gaps takes the export out of `ready`: nothing is encrypted meanwhile, and the new revision is sent."""
    export_id, transfer_id, _consent = under_way(made, other)
    again = update(models.export).where(models.export.c.id == export_id)
    with writing(made.engine) as connection:
        connection.execute(again.values(state="running", revision=2))
    assert not step(made)
    assert withdraw_copies(made.engine, lambda: made.place.storage) == 0
    with writing(made.engine) as connection:
        connection.execute(again.values(state="ready"))

    encrypted(made)

    assert (view(made, transfer_id)["state"], view(made, transfer_id)["revision"]) == ("offered", 2)


def test_a_changed_volume_is_not_sent(made: World, other: Provider) -> None:
    """What storage gives is compared with what was signed: a changed byte ends the transfer."""
    export_id, transfer_id, _consent = under_way(made, other)
    with reading(made.engine) as connection:
        (volume,) = exports.stored_volumes(connection, export_id)
    path = made.folder / "archives" / volume["object_key"]
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)

    encrypted(made)

    assert view(made, transfer_id)["state"] == "failed"
    assert view(made, transfer_id)["error_code"] == "object_changed"
    assert encrypted_keys(made) == set()


def test_a_transfer_that_is_not_fetched_expires(made: World, other: Provider) -> None:
    """The offer ends, its link with it, and the copies go; the archive itself stays."""
    export_id, transfer_id, _consent = under_way(made, other)
    encrypted(made)
    with writing(made.engine) as connection:
        connection.execute(update(models.transfer).values(expires_at=now(-1)))
        assert sending.expire(connection, transfer_id, actor="clock") == 1
        assert sending.expire(connection, transfer_id, actor="clock") == 0

    assert view(made, transfer_id)["state"] == "expired"
    assert withdraw_copies(made.engine, lambda: made.place.storage) == 1
    assert encrypted_keys(made) == set()
    assert made.view(export_id)["state"] == "ready"


@pytest.mark.requirement("R41")
def test_copies_go_with_the_archive(made: World, other: Provider) -> None:
    """An archive whose time is over takes its transfers and their copies along (R41)."""
    export_id, transfer_id, _consent = under_way(made, other)
    encrypted(made)
    settings = made.place.settings
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(ended_at=now(-9 * 86_400)))
        connection.execute(update(models.transfer).values(expires_at=now(-2 * 86_400)))  # no later than its archive
    expiry.announce(made.engine, settings)
    with writing(made.engine) as connection:
        connection.execute(update(models.notification).values(created_at=now(-3 * 86_400)))
    expiry.expire(made.engine, settings)

    assert made.view(export_id)["state"] == "expired"
    assert view(made, transfer_id)["state"] == "expired"
    assert withdraw_copies(made.engine, lambda: made.place.storage) == 1
    assert encrypted_keys(made) == set()


def test_a_sweep_deletes_unneeded_copies_only(made: World, other: Provider) -> None:
    """What is offered is left alone; what has no row or an ended transfer is removed, when it is old enough."""
    _export_id, transfer_id, _consent = under_way(made, other)
    encrypted(made)
    tomorrow = datetime.now(UTC) + timedelta(days=2)
    # What the offer's own time has to say about tomorrow is another test's.
    with writing(made.engine) as connection:
        connection.execute(update(models.transfer).values(expires_at=now(30 * 86_400)))
    assert list(orphans.find(made.engine, made.place.storage, tomorrow)) == []
    with writing(made.engine) as connection:
        sending.revoke(connection, transfer_id, actor=TEST)

    found = list(orphans.find(made.engine, made.place.storage, tomorrow))

    assert [orphan.kind for orphan in found] == ["copy"]
    for orphan in found:
        orphan.remove()
    assert encrypted_keys(made) == set()


def test_a_recipient_fetches_its_copies_while_the_next_revision_is_made(made: World, other: Provider) -> None:
    """They are what was authorised and announced; a retry of gaps takes as long as a source is away."""
    export_id, transfer_id, _consent = under_way(made, other)
    encrypted(made)
    with writing(made.engine) as connection:
        offered = links.of_transfer(connection, transfer_id)
        earlier_revisions.keep(connection, exports.lock(connection, export_id), ())
        connection.execute(update(models.export).values(state="running", revision=2))
        found = links.of_transfer(connection, transfer_id)
        assert links.volumes(connection, found) == links.volumes(connection, offered)
        assert found["revision"] == 1
        claim = links.claim(connection, found, 1, actor=TEST, claims_max=9, claim_seconds=60)
        assert links.claimed(connection, found, 1, claim)["file"].endswith(".zip.age")


def test_a_recipients_link_reaches_the_copies_and_nothing_else(made: World, other: Provider) -> None:
    """Never an unencrypted volume, not even by its number; such a link cannot be made by hand."""
    export_id, transfer_id, _consent = under_way(made, other)
    encrypted(made)
    link = link_of(made, transfer_id)

    with reading(made.engine) as connection:
        reached = links.volumes(connection, link)
        assert [row["file"].endswith(".zip.age") for row in reached] == [True]
        assert {row["object_key"] for row in reached} == encrypted_keys(made)
    with writing(made.engine) as connection, pytest.raises(BadInput):
        links.issue(
            connection,
            made.place.settings.keys,
            export_id,
            audience="recipient",
            ttl_seconds=60,
            actor=str(OWNER),
        )
    with writing(made.engine) as connection, pytest.raises(LinkInvalid):
        links.claim(connection, link, 99, actor=TEST, claims_max=9, claim_seconds=60)


def test_there_is_no_deadlock(made: World, other: Provider, control_url: str) -> None:
    """No deadlock for any simultaneous actions of people, workers and recipients on one transfer."""
    settings = made.place.settings
    recipient = other.recorded(made)
    far = datetime.now(UTC) + timedelta(days=9)
    consent = authorised(made, recipient, until=far)
    export_id = ready(made)
    transfer_id = started(made, export_id, recipient)
    encrypted(made)
    link = link_of(made, transfer_id)

    def again(connection: Connection) -> None:
        """All as it was, for the others here."""
        exports.lock(connection, export_id)
        ours = models.transfer.c.id == transfer_id
        connection.execute(update(models.transfer).where(ours).values(state="offered", expires_at=now(600)))
        connection.execute(update(models.link).values(revoked_at=None))
        connection.execute(update(models.authorisation).values(revoked_at=None))
        connection.execute(delete(models.notification))

    def work(connection: Connection) -> None:
        exports.lock(connection, export_id)
        audit.record(connection, "volume.failed", actor="worker", export_id=export_id)

    def receive(connection: Connection) -> None:
        said = Receipt(secrets.token_hex(8), Status.REFUSED, "changed", 0, "x.y.z")
        receipts.record(connection, transfer_id, said)

    acts: list[Any] = [
        again,
        work,
        receive,
        lambda c: authorisations.revoke(c, consent, actor=TEST),
        lambda c: sending.revoke(c, transfer_id, actor=TEST),
        lambda c: sending.start(c, settings, export_id, recipient, actor=OWNER),
        lambda c: sending.expire(c, transfer_id, actor=TEST),
        lambda c: links.claim(c, link, 1, actor=TEST, claims_max=10_000, claim_seconds=60),
        lambda c: links.revoke_all(c, export_id, actor=TEST),
        lambda c: approvals.may_fetch(c, export_id, actor=Actor("operator", "test")),
    ]

    def hurry(number: int) -> int:
        engine, chance, done = open_engine(control_url), random.Random(number), 0
        for _ in range(30):
            with suppress(BadInput), writing(engine) as connection:
                chance.choice(acts)(connection)
                done += 1
        engine.dispose()
        return done

    done = in_threads(4, hurry)

    assert min(done) > 5
    with reading(made.engine) as connection:
        assert audit.verify(connection).ok


@pytest.mark.requirement("R5", "R46")
@pytest.mark.parametrize("is_offered", [True, False])
def test_an_erasure_takes_what_was_sent_along(made: World, other: Provider, is_offered: bool) -> None:
    """Queued or offered: it cannot be downloaded; copies, records and the consent itself are deleted afterwards."""
    recipient = other.recorded(made)
    authorised(made, recipient)
    transfer_id = started(made, ready(made), recipient)
    assert step(made)
    if is_offered:
        encrypted(made)
    assert view(made, transfer_id)["state"] == ("offered" if is_offered else "queued")
    with writing(made.engine) as connection:
        erasures.begin(connection, Whom("user", "usr_1", None), reason="ticket 7", actor=TEST, ground="subject")
    assert view(made, transfer_id)["state"] == "revoked"
    assert encrypted_keys(made)

    assert erasure.advance(made.engine, lambda: made.place.storage) == 1

    assert not list(made.place.storage.list())
    gone = (models.transfer, models.transfer_copy, models.authorisation, models.webhook)
    with reading(made.engine) as connection:
        assert [table.name for table in gone if connection.execute(select(table)).first()] == []
        assert connection.execute(select(models.recipient)).first()
