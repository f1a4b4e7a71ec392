"""A revision that fails or is cancelled ends alone: the archive that was ready is there as it was announced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import World, world
from faults import FaultyStorage, Killed, Operation
from gap_sources import LackingSource, lacks_nothing, source_of
from sqlalchemy import func, select, update

from portability.api.errors import StorageRefused, StorageUnavailable
from portability.database import deployment, models
from portability.database.engine import now, reading, writing
from portability.delivery import links
from portability.delivery.links import Link
from portability.errors import ErasureRunning, LinkInvalid, WrongState
from portability.requests import exports, keeping, retries
from portability.requests.states import ExportState
from portability.retention import erasures, recalls
from portability.retention.erasures import Whom
from portability.storage.local import LocalStorage
from portability.trust import audit
from worker.clock import expiry, lost_volumes, purge, sweep
from worker.close import failure
from worker.export import advance
from worker.write.withdraw import withdraw_discarded, withdraw_given_up

EXPORT, VOLUME, SLICE, KEPT = models.export, models.volume, models.slice, models.earlier_revision
TEST = "operator:test"
CHANGED = (
    *("complete", "outcome_own", "outcome_processor", "revision", "reviewed"),
    *("ended_at", "kept_until", "kept_since"),
)


@dataclass
class Revised:
    """An archive of which two files are missing, each of the size of a volume; its revision is being made."""

    made: World
    source: LackingSource
    storage: FaultyStorage
    id: str
    before: Mapping[str, Any] = field(default_factory=dict)
    paths: Mapping[str, bytes] = field(default_factory=dict)
    kept_objects: set[str] = field(default_factory=set)
    given: list[Link] = field(default_factory=list)
    """That the person got with the archive."""

    def state(self) -> Mapping[str, Any]:
        """All that a person, a recipient or a retry sees of the export."""
        with reading(self.made.engine) as connection:
            row = exports.get(connection, self.id)
            gaps = [{**gap, "id": 0} for gap in exports.gaps(connection, self.id)]
            told = connection.scalars(select(models.notification.c.kind).order_by(models.notification.c.kind)).all()
            return {
                "view": {**exports.view(connection, self.id), "failed_revision": None},
                "columns": {name: row[name] for name in CHANGED},
                "ledger": [dict(line) for line in exports.ledger(connection, self.id)],
                "gaps": gaps,
                "told": told,
                "fillable": retries.count_fillable(connection, row),
            }

    def objects(self) -> set[str]:
        return {key for key in self.made.archive_keys() if not key.startswith("portability")}

    def contents(self) -> Mapping[str, bytes]:
        return {path.name: path.read_bytes() for path in self.made.fetch(self.id)}

    def step(self) -> None:
        """Let a worker write a volume."""
        claim = self.made.claim()
        assert claim
        advance(self.made.place, claim)

    @property
    def announced(self) -> Link:
        return self.given[0]

    def link(self) -> Link:
        settings, seconds = self.made.place.settings, links.TTL_MAX_SECONDS
        with writing(self.made.engine) as connection:
            until = keeping.archive_end(connection, settings, exports.get(connection, self.id))
            known = (connection, settings.keys, self.id)
            return links.issue(*known, ttl_seconds=seconds, until=until, actor=TEST, is_reported=False)

    def downloads(self, link: Link, number: int) -> tuple[int, bytes]:
        """What a link gives: the revision, and the bytes of a volume."""
        with writing(self.made.engine) as connection:
            found = links.resolve(connection, self.made.place.settings.keys, link.token)
            claim = links.claim(connection, found, number, actor=TEST, claims_max=99, claim_seconds=60)
            volume = links.claimed(connection, found, number, claim)
        return found["revision"], b"".join(self.made.place.storage.read(volume["object_key"]))

    def leads_to(self, link: Link, revision: int, contents: Mapping[str, bytes]) -> None:
        """The link gives these volumes, and no other."""
        for number, content in enumerate(contents.values(), 1):
            assert self.downloads(link, number) == (revision, content)
        with pytest.raises(LinkInvalid):
            self.downloads(link, len(contents) + 1)

    def cancel(self) -> ExportState:
        with writing(self.made.engine) as connection:
            return exports.cancel(connection, self.id, actor=TEST)

    def events(self) -> list[str]:
        with reading(self.made.engine) as connection:
            return [event["action"] for event in audit.events(connection, export_id=self.id)]

    def kept(self) -> int:
        with reading(self.made.engine) as connection:
            return int(connection.scalar(select(func.count()).select_from(KEPT)) or 0)

    def is_as_before(self) -> None:
        """The archive is as it was; another retry fills its gaps, and verifies."""
        withdraw_given_up(self.made.engine, lambda: self.storage)
        assert self.state() == self.before
        assert self.contents() == self.paths
        assert self.made.verify(self.made.fetch(self.id)).errors == ()
        assert self.objects() == self.kept_objects
        assert (self.kept(), self.events()[-1]) == (0, "export.reverted")
        failed = self.made.view(self.id)["failed_revision"]
        assert (failed["revision"], failed["code"] in {"storage_refused", "cancelled", "object_missing"}) == (2, True)
        self.storage.before = lambda _operation, _count: None
        self.retry()
        self.made.advance_all()
        paths = self.made.fetch(self.id)
        assert (self.made.verify(paths).errors, lacks_nothing(paths, self.source)) == ((), True)
        view = self.made.view(self.id)
        assert (view["state"], view["complete"], view["revision"], self.kept()) == ("ready", True, 2, 0)
        assert not view["failed_revision"], "a later revision is ready"

    def retry(self) -> None:
        with writing(self.made.engine) as connection:
            retries.retry_gaps(connection, self.id, actor=TEST)


@pytest.fixture
def revised(control_url: str, tmp_path: Path) -> Revised:
    source = source_of(9, 90_000, no_file={"1.wav", "4.wav"})
    storage = FaultyStorage(LocalStorage(tmp_path / "archives"))
    small = {"volume_bytes": 65_536, "attempts_max": 1}
    made = world(tmp_path, {"made": source}, storage=storage, database_url=control_url, **small).with_all_keys()
    found = Revised(made, source, storage, made.request())
    made.advance_all()
    sweep.sweep(made.engine, storage, actor=TEST)
    found.given.append(found.link())
    found.before, found.paths, found.kept_objects = found.state(), found.contents(), found.objects()
    source.repair()
    found.retry()
    return found


def refuse(revised: Revised, operation: Operation) -> None:
    def act(seen: Operation, _count: int) -> None:
        if seen == operation:
            raise StorageRefused("not today")

    revised.storage.before = act


def fail_in_the_middle(revised: Revised) -> None:
    revised.step()
    assert len(revised.made.view(revised.id)["volumes"]) == len(revised.paths) + 1
    refuse(revised, "write")
    revised.step()


def fail_at_once(revised: Revised) -> None:
    refuse(revised, "begin")
    revised.step()


def fail_without_deletions(revised: Revised) -> None:
    """Storage is away: the stored volume stays until it is back."""
    revised.step()

    def act(operation: Operation, _count: int) -> None:
        if operation == "begin":
            raise StorageRefused("not today")
        if operation == "delete":
            raise StorageUnavailable("away")

    revised.storage.before = act
    revised.step()
    revised.storage.before = lambda _operation, _count: None


def cancel_in_the_middle(revised: Revised) -> None:
    revised.step()
    assert revised.cancel() is ExportState.READY


def cancel_at_once(revised: Revised) -> None:
    assert revised.cancel() is ExportState.READY


def cancel_while_a_worker_writes(revised: Revised) -> None:
    """Its volume is stored by then: the commit is refused."""
    claim = revised.made.claim()
    assert claim
    assert revised.cancel() is ExportState.READY
    advance(revised.made.place, claim)


def lose_a_new_volume(revised: Revised) -> None:
    revised.step()
    with reading(revised.made.engine) as connection:
        (number,) = connection.scalars(select(VOLUME.c.number).where(VOLUME.c.revision > 1)).all()
    at = deployment.clock(revised.made.engine)
    lost_volumes.fail(revised.made.engine, revised.id, [number], at, actor="clock")


@pytest.mark.parametrize(
    "ending",
    [
        fail_in_the_middle,
        fail_at_once,
        fail_without_deletions,
        cancel_in_the_middle,
        cancel_at_once,
        cancel_while_a_worker_writes,
        lose_a_new_volume,
    ],
)
def test_the_archive_stays_as_it_was(revised: Revised, ending: Callable[[Revised], None]) -> None:
    """Its volumes, ledger, gaps and end; no message is sent again, and the next retry fills what is missing."""
    ending(revised)
    revised.is_as_before()


def test_a_fault_of_the_closing_gives_the_revision_up(revised: Revised, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its closing volume is stored, and its commit does not come."""

    def refused(*_arguments: Any) -> None:
        raise StorageRefused("no marker")

    with monkeypatch.context() as patch:
        patch.setattr("worker.export.closing_marker.place", refused)
        revised.made.advance_all()
    revised.is_as_before()


def test_a_worker_that_is_killed_after_it_gave_up_leaves_volumes_to_a_clock(
    revised: Revised, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the change of state and the deletion; a sweep takes nothing of the archive."""

    def killed(*_arguments: Any, **_named: Any) -> None:
        raise Killed

    revised.step()
    refuse(revised, "begin")
    with monkeypatch.context() as patch:
        patch.setattr(failure, "withdraw_given_up", killed)
        with pytest.raises(Killed):
            revised.step()
    sweep.sweep(revised.made.engine, revised.storage, actor=TEST)
    revised.is_as_before()


def test_a_worker_that_is_killed_in_a_revision_is_followed_by_another(revised: Revised) -> None:
    """After the kill the revision goes on, and a sweep in between takes nothing of either revision."""

    def kill(operation: Operation, _count: int) -> None:
        if operation == "write":
            raise Killed

    revised.step()
    revised.storage.before = kill
    with pytest.raises(Killed):
        revised.step()
    revised.storage.before = lambda _operation, _count: None
    with writing(revised.made.engine) as connection:
        connection.execute(update(SLICE).values(lease_until=now(-1)))
    sweep.sweep(revised.made.engine, revised.storage, actor=TEST)
    refuse(revised, "begin")
    revised.step()
    revised.is_as_before()


def test_a_lost_volume_of_the_archive_ends_both(revised: Revised) -> None:
    """There is nothing to go back to."""
    revised.step()
    first = min(key for key in revised.objects() if key.endswith(".zip"))
    revised.storage.inner.delete(first)
    revised.made.advance_all()
    assert (revised.made.view(revised.id)["state"], revised.kept()) == ("failed", 0)


def erase(connection: Any, _export_id: str) -> None:
    jane = Whom("user", "usr_1", None)
    erasures.begin(connection, jane, reason="asked", actor=TEST, cancel_running=True, ground="subject")


def recall(connection: Any, export_id: str) -> None:
    recalls.recall(connection, export_id, reason="wrong person", actor=TEST)


@pytest.mark.parametrize(("end", "state"), [(erase, "cancelled"), (recall, "recalled")])
def test_an_erasure_and_a_recall_end_both(revised: Revised, end: Callable[..., None], state: str) -> None:
    """Nothing is kept of the archive, and nothing makes it ready again."""
    revised.step()
    with writing(revised.made.engine) as connection:
        end(connection, revised.id)
    refuse(revised, "begin")
    revised.made.advance_all()
    revised.storage.before = lambda _operation, _count: None
    withdraw_discarded(revised.made.engine, lambda: revised.storage)
    assert (revised.made.view(revised.id)["state"], revised.kept(), revised.objects()) == (state, 0, set())


def test_a_revision_of_an_earlier_release_has_no_way_back(revised: Revised) -> None:
    """Nothing was kept: its cancellation is refused, and a fault ends the archive, too."""
    with writing(revised.made.engine) as connection:
        connection.execute(KEPT.delete())
    with pytest.raises(WrongState):
        revised.cancel()
    refuse(revised, "begin")
    revised.step()
    assert revised.made.view(revised.id)["state"] == "failed"


def test_what_an_earlier_release_left_is_not_gone_back_to(revised: Revised) -> None:
    """It closed the revision, or made the archive anew: what was kept is of another archive."""
    revised.made.advance_all()
    with writing(revised.made.engine) as connection:
        closing = connection.scalar(select(VOLUME.c.id).where(VOLUME.c.closing, VOLUME.c.revision == 1))
        left: dict[str, Any] = {"export_id": revised.id, "volume_id": closing, "contents": {}, "created_at": now()}
        connection.execute(KEPT.insert().values(left))
        connection.execute(update(EXPORT).values(state="running", revision=3))
    with pytest.raises(WrongState):
        revised.cancel()
    with writing(revised.made.engine) as connection:
        connection.execute(update(EXPORT).values(state="ready"))
    purge.purge(revised.made.engine, 60)
    assert revised.kept() == 0


def test_a_message_that_waited_for_the_revision_is_sent(revised: Revised) -> None:
    """It was not true while the revision was made; without it the person would not know of the archive."""
    table = models.notification
    with writing(revised.made.engine) as connection:
        outdated = update(table).where(table.c.kind == "ready").values(state="page", reason="outdated")
        connection.execute(outdated)
    revised.cancel()
    with reading(revised.made.engine) as connection:
        found = connection.execute(select(table).where(table.c.kind == "ready")).mappings().one()
    assert (found["state"], found["reason"]) == ("queued", None)


def test_the_archive_expires_when_it_was_announced(revised: Revised) -> None:
    """Its end is the recorded one, and nothing is left of it then."""
    revised.step()
    assert revised.cancel() is ExportState.READY
    engine, settings = revised.made.engine, revised.made.place.settings
    present = deployment.clock(engine)
    past = present - 2 * timedelta(seconds=expiry.NOTICE_SECONDS)
    with writing(engine) as connection:
        connection.execute(update(EXPORT).values(kept_until=present, kept_since=past, ended_at=past))
    assert expiry.announce(engine, settings) == 1
    with writing(engine) as connection:
        connection.execute(update(models.notification).values(created_at=now(-expiry.NOTICE_SECONDS - 1)))
    assert expiry.expire(engine, settings) == 1
    withdraw_discarded(engine, lambda: revised.storage)
    assert (revised.objects(), revised.kept()) == (set(), 0)


def test_the_archive_can_be_downloaded_while_its_revision_is_made(revised: Revised) -> None:
    """By the link that people have and by a new one, until its end; nothing of the revision is delivered yet."""
    ends = [revised.announced.expires_at, revised.link().expires_at]
    assert ends[1] - ends[0] < timedelta(minutes=1)
    volumes = len(revised.made.view(revised.id)["volumes"])
    while revised.made.view(revised.id)["state"] != "ready":
        revised.leads_to(revised.announced, 1, revised.paths)
        revised.leads_to(revised.link(), 1, revised.paths)
        volumes = max(volumes, len(revised.made.view(revised.id)["volumes"]))
        revised.step()
    assert volumes > len(revised.paths)
    assert len(revised.contents()) > len(revised.paths)
    revised.leads_to(revised.announced, 2, revised.contents())


def test_what_ends_the_archive_ends_its_downloads_during_a_revision(revised: Revised) -> None:
    """As soon as the erasure has begun, and where nothing tells which volumes were delivered before."""
    with writing(revised.made.engine) as connection:
        kept = connection.execute(KEPT.delete().returning(KEPT)).mappings().one()
    with pytest.raises(LinkInvalid):
        revised.downloads(revised.announced, 1)
    with pytest.raises(WrongState):
        revised.link()
    with writing(revised.made.engine) as connection:
        connection.execute(KEPT.insert().values(**kept))
    revised.leads_to(revised.announced, 1, revised.paths)
    with writing(revised.made.engine) as connection:
        erase(connection, revised.id)
    with pytest.raises(LinkInvalid):
        revised.downloads(revised.announced, 1)
    with pytest.raises(ErasureRunning):
        revised.link()
