from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from factories import World, world
from faults import FaultyStorage, Operation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simultaneous import in_threads
from sqlalchemy import Connection, RowMapping, delete, select
from sweeping import VOLUME, Shelf, found, sizes, unknown_export

from portability.api.errors import ForeignStore, StorageFull, StorageRefused, StorageUnavailable
from portability.database import deployment, incidents
from portability.database.engine import now, open_engine, reading, writing
from portability.requests.transition import transition
from portability.trust import audit
from worker.clock import lost_volumes, orphans
from worker.clock.orphans import OrphanKind
from worker.clock.sweep import sweep
from worker.write import excerpts, object_keys

FOREIGN = ["photos/1.jpg", "00001.1.deadbeef.zip", "a/00001.1.deadbeef.zip", "portability-check/mine.txt", "x.excerpt"]

BUG = "a bug of this software"


def events(made: World, identifier: str) -> list[tuple[str, str]]:
    with reading(made.engine) as connection:
        return [(event["action"], event["actor"]) for event in audit.events(connection, export_id=identifier)]


def counted(made: World) -> dict[str, int]:
    return {row["kind"]: row["count"] for row in incidents.counted(made.engine)}


def test_what_belongs_to_an_export_stays(shelf: Shelf) -> None:
    """Volumes of open and ready exports, what a worker is writing, and its excerpts: untouched, however old."""
    shelf.storage.all_old = True
    running, ready = shelf.export("running"), shelf.export("ready")
    kept = {shelf.stored(running), shelf.stored(ready, 1), shelf.stored(ready, 2, closing=True)}
    kept |= {shelf.excerpt(shelf.stored(running, 2))}
    kept |= {key for key in shelf.objects() if object_keys.is_volume(key)}
    key = object_keys.fresh(running, 3, 1)
    uploads = [shelf.abandon(key), shelf.abandon(excerpts.key(key))]
    shelf.volume(running, "writing", 3, key=key, upload_id=uploads[0])
    about_to_commit = shelf.put(shelf.volume(running, "writing", 4))
    kept |= {about_to_commit, shelf.excerpt(about_to_commit)}
    report = shelf.sweep()
    assert (found(report), report.lost) == ({}, {})
    assert shelf.objects() == kept
    assert len(shelf.uploads()) == 2
    assert len(shelf.rows()) == 6


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_what_an_ended_export_left_goes_at_once(shelf: Shelf, state: str) -> None:
    """Objects, excerpts, uploads and rows of an undeliverable export, of any age."""
    ended = shelf.export(state)
    stored = shelf.stored(ended)
    shelf.excerpt(stored)
    key = object_keys.fresh(ended, 2, 1)
    shelf.volume(ended, "writing", 2, key=key, upload_id=shelf.abandon(key))
    shelf.abandon(excerpts.key(key))
    report = shelf.sweep()
    assert found(report) == {"upload": 2, "volume": 1, "excerpt": 1, "row": 2}
    assert sizes(report, [OrphanKind.VOLUME, OrphanKind.EXCERPT]) == [5, 3]
    assert (shelf.objects(), shelf.uploads(), shelf.rows()) == (set(), set(), set())
    assert counted(shelf.made) == {"swept": 6}


def test_what_no_row_knows_goes_after_a_day(shelf: Shelf) -> None:
    """A worker killed between begin and its row, a database restored from before: young things are left alone."""
    running = shelf.export("running")
    keys = [object_keys.fresh(export_id, 1, 1) for export_id in (running, unknown_export(), unknown_export())]
    for key in keys[:2]:
        shelf.abandon(key)
    objects = [shelf.put(keys[2]), shelf.excerpt(keys[2])]
    assert found(shelf.sweep()) == {}
    assert (len(shelf.uploads()), len(shelf.objects())) == (2, 2)
    for key in [*keys, *objects]:
        shelf.age(key)
    assert found(shelf.sweep()) == {"upload": 2, "volume": 1, "excerpt": 1}
    assert (shelf.objects(), shelf.uploads()) == (set(), set())


def test_excerpts_that_no_volume_asks_for_go(shelf: Shelf) -> None:
    """A crash between the last commit and the discard of older excerpts: a ready export keeps its volumes alone."""
    export = shelf.export("running")
    volumes = [shelf.stored(export, 1), shelf.stored(export, 2, closing=True)]
    shelf.excerpt(volumes[0])
    assert found(shelf.sweep()) == {}
    shelf.becomes(export, "ready")
    assert found(shelf.sweep()) == {"excerpt": 1}
    assert shelf.objects() == set(volumes)
    volumes.append(shelf.excerpt(volumes[1]))  # a further revision could ask for that of the closing volume
    assert found(shelf.sweep()) == {}
    assert shelf.objects() == set(volumes)


def test_the_row_of_an_export_that_continues_meanwhile_stays(shelf: Shelf) -> None:
    """Between finding and removing, an ended export was opened again: its row is then the next claim's to tidy."""
    export = shelf.export("ready")
    key = shelf.volume(export, "writing")
    (row,) = orphans.find(shelf.made.engine, shelf.storage, deployment.clock(shelf.made.engine))
    shelf.becomes(export, "running")
    row.remove()
    assert shelf.rows() == {key}
    shelf.becomes(export, "ready")
    row.remove()
    assert shelf.rows() == set()


def test_a_volume_that_was_completed_and_not_committed(shelf: Shelf) -> None:
    """While its export is open it is the next claim's to tidy; when the export has ended without it, it goes."""
    export = shelf.export("running")
    key = shelf.put(shelf.volume(export, "writing"))
    assert found(shelf.sweep()) == {}
    shelf.becomes(export, "ready")
    assert found(shelf.sweep()) == {"volume": 1, "row": 1}
    assert (shelf.objects(), shelf.rows()) == (set(), set())
    assert key not in shelf.objects()


def test_what_is_not_named_by_us_is_never_touched(shelf: Shelf) -> None:
    """A bucket may hold other people's things, with names much like ours."""
    shelf.storage.all_old = True
    for key in FOREIGN:
        shelf.put(key)
    shelf.abandon("theirs/big.bin")
    assert found(shelf.sweep()) == {}
    assert shelf.objects() == set(FOREIGN)
    assert len(shelf.uploads()) == 1


def test_probes_of_a_doctor_that_died(shelf: Shelf) -> None:
    """A probe's object and upload go after a day; a running doctor's stay."""
    probes = [f"portability-check/{number:016x}" for number in range(3)]
    shelf.abandon(probes[0])
    shelf.put(probes[1])
    shelf.put(probes[2])
    for key in probes[:2]:
        shelf.age(key)
    assert found(shelf.sweep()) == {"upload": 1, "probe": 1}
    assert (shelf.objects(), shelf.uploads()) == ({probes[2]}, set())


def test_a_dry_run_changes_nothing(shelf: Shelf) -> None:
    """It tells the same counts as the sweep after it, and leaves objects, uploads, rows and states as they are."""
    failed, ready = shelf.export("failed"), shelf.export("ready")
    shelf.excerpt(shelf.stored(failed))
    shelf.stored(ready, 1)
    shelf.volume(ready, "stored", 2)
    shelf.abandon(shelf.age(object_keys.fresh(unknown_export(), 1, 1)))
    before = (shelf.objects(), shelf.uploads(), shelf.rows())
    dry = shelf.sweep(dry_run=True)
    assert (shelf.objects(), shelf.uploads(), shelf.rows()) == before
    assert shelf.made.view(ready)["state"] == "ready"
    assert "portability-owner" not in {listed.key for listed in shelf.storage.inner.list()}
    assert counted(shelf.made) == {}
    assert (found(dry), dry.lost) == ({"upload": 1, "volume": 1, "excerpt": 1, "row": 1}, {ready: [2]})
    swept = shelf.sweep()
    assert swept.lost == dry.lost
    assert found(swept) == {"upload": 1, "volume": 2, "excerpt": 1, "row": 3}  # the failed export's too


def test_twice_is_the_same_as_once(shelf: Shelf) -> None:
    """After a sweep the next one finds nothing."""
    export = shelf.export("cancelled")
    shelf.excerpt(shelf.stored(export))
    shelf.volume(export, "writing", 2)
    assert found(shelf.sweep()) != {}
    left = (shelf.objects(), shelf.uploads(), shelf.rows())
    report = shelf.sweep()
    assert (found(report), report.lost) == ({}, {})
    assert (shelf.objects(), shelf.uploads(), shelf.rows()) == left


def test_two_sweeps_at_once(shelf: Shelf, control_url: str) -> None:
    """They remove the same things, and fail one export once."""
    failed, ready = shelf.export("failed"), shelf.export("ready")
    kept = {shelf.stored(ready, number) for number in range(1, 4)}
    shelf.volume(ready, "stored", 4)
    for number in range(10):
        shelf.stored(failed, number + 1)

    def one(_number: int) -> None:
        engine = open_engine(control_url)
        try:
            sweep(engine, shelf.storage, actor="operator:test")
        finally:
            engine.dispose()

    in_threads(2, one)
    shelf.sweep()
    assert (shelf.objects(), shelf.rows()) == (set(), set())
    assert kept
    assert [action for action, _actor in events(shelf.made, ready)].count("export.failed") == 1


@pytest.mark.parametrize("state", ["writing", "stored"])
@pytest.mark.parametrize("listing", ["of what is lost", "of uploads", "of objects"])
def test_a_row_that_is_committed_after_the_listing_counts(shelf: Shelf, state: str, listing: str) -> None:
    """Rows are read after storage was listed: what was begun, completed or committed in between is not removed."""
    export = shelf.export("running")
    key = shelf.age(object_keys.fresh(export, 1, 1))
    upload = shelf.storage.begin(key)
    upload.write(b"12345")
    if listing == "of objects":
        upload.complete()
    ends = iter(["of what is lost", "of uploads", "of objects"])

    def commit() -> None:
        if next(ends, None) == listing:
            if listing != "of objects":
                upload.complete()
            shelf.volume(export, state, key=key, upload_id=upload.id, stored_at=now())

    shelf.storage.after_listing = commit
    report = shelf.sweep()
    assert (found(report), report.lost) == ({}, {})
    assert shelf.objects() == {key}


def test_an_object_that_cannot_be_removed_keeps_no_other(shelf: Shelf) -> None:
    """A retention rule on one object: it is reported as kept, the rest is deleted; its row stays for the next sweep."""
    failed = shelf.export("failed")
    held, other = sorted([shelf.stored(failed, 1), shelf.stored(failed, 2)])

    def refuse(operation: Operation, _count: int) -> None:
        if operation == "delete" and counts["delete"] in {1, 3}:
            raise StorageRefused("retained")

    faulty = FaultyStorage(shelf.storage, before=refuse)
    counts = faulty.counts
    report = sweep(shelf.made.engine, faulty, actor="operator:test")
    assert [(tally.kind, tally.count, tally.kept) for tally in report.tallies if tally.kept] == [
        (OrphanKind.VOLUME, 2, 1),
        (OrphanKind.ROW, 2, 1),
    ]
    assert len(shelf.rows()) == 1
    assert held not in shelf.objects() or other not in shelf.objects()
    shelf.sweep()
    assert (shelf.objects(), shelf.rows()) == (set(), set())


def test_a_storage_that_is_away_ends_the_sweep(shelf: Shelf) -> None:
    """StorageUnavailable: nothing is reported as swept; the next sweep finds everything."""
    shelf.stored(shelf.export("failed"))

    def refuse(operation: Operation, _count: int) -> None:
        if operation == "delete":
            raise StorageUnavailable("away")

    with pytest.raises(StorageUnavailable):
        sweep(shelf.made.engine, FaultyStorage(shelf.storage, before=refuse), actor="operator:test")
    assert len(shelf.rows()) == 1
    assert found(shelf.sweep()) == {"volume": 1, "row": 1}


def test_a_full_storage_is_swept(shelf: Shelf) -> None:
    """The first sweep has to record whose storage it is; it removes what makes room for that all the same.

    The storage of another deployment is not swept without the record.
    """
    shelf.stored(shelf.export("failed"))

    def fill(operation: Operation, _count: int) -> None:
        if operation in {"begin", "write"}:
            raise StorageFull("no room")

    full = FaultyStorage(shelf.storage, before=fill)
    with pytest.raises(StorageFull):
        sweep(shelf.made.engine, full, actor="operator:test", force=True)
    assert len(shelf.rows()) == 1
    report = sweep(shelf.made.engine, full, actor="operator:test")
    assert found(report) == {"volume": 1, "row": 1}
    shelf.sweep()
    assert b"".join(shelf.storage.read("portability-owner"))


def test_a_fault_of_one_orphan_keeps_no_other(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is, such as a bug of this software: it is counted as what storage refuses to delete."""
    failed = shelf.export("failed")
    keys = [shelf.stored(failed, number) for number in (1, 2, 3)]
    storage = shelf.storage
    real = storage.delete

    def delete(key: str) -> None:
        if key == keys[1]:
            raise RuntimeError(BUG)
        real(key)

    with monkeypatch.context() as broken:
        broken.setattr(storage, "delete", delete)
        report = shelf.sweep()
    assert {tally.kind: tally.kept for tally in report.tallies if tally.kept} == {
        OrphanKind.VOLUME: 1,
        OrphanKind.ROW: 1,
    }
    assert (shelf.objects(), shelf.rows()) == ({keys[1]}, {keys[1]})
    shelf.sweep()
    assert (shelf.objects(), shelf.rows()) == (set(), set())


def test_a_lost_export_that_cannot_fail_keeps_no_other(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others fail and orphans are removed; then the caller hears of the fault."""
    lost = {
        export_id: shelf.volume(export_id, "stored") for export_id in (shelf.export("ready"), shelf.export("ready"))
    }
    kept = {shelf.stored(shelf.export("ready")) for _ in range(3)}
    shelf.stored(shelf.export("failed"))
    broken_id = min(lost)

    def fail(connection: Connection, row: Mapping[str, Any], *args: Any, **more: Any) -> RowMapping:
        if row["id"] == broken_id:
            raise RuntimeError(BUG)
        return transition(connection, row, *args, **more)

    with monkeypatch.context() as broken:
        broken.setattr(lost_volumes, "transition", fail)
        with pytest.raises(RuntimeError, match=BUG):
            shelf.sweep()
    assert {export_id: shelf.made.view(export_id)["state"] == "failed" for export_id in lost} == {
        export_id: export_id != broken_id for export_id in lost
    }
    assert shelf.objects() == kept


def test_a_part_that_arrives_after_the_abort(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The upload is still listed: its row stays, so that the next sweep aborts it again."""
    cancelled = shelf.export("cancelled")
    key = object_keys.fresh(cancelled, 1, 1)
    shelf.volume(cancelled, "writing", key=key, upload_id=shelf.abandon(key))
    with monkeypatch.context() as patch:
        patch.setattr(type(shelf.storage.inner), "abort", lambda *_args: None)
        shelf.sweep()
    assert (shelf.rows(), len(shelf.uploads())) == ({key}, 1)
    assert found(shelf.sweep()) == {"upload": 1, "row": 1}
    assert (shelf.rows(), shelf.uploads()) == (set(), set())


def test_another_deployment_s_storage_is_not_swept(shelf: Shelf, tmp_path: Path) -> None:
    """To another database all archives here are orphans: refused, until an operator takes the storage over."""
    stored_keys = {shelf.stored(shelf.export("ready"))}
    shelf.sweep()
    shelf.storage.all_old = True
    other = world(tmp_path / "other", {}, storage=shelf.storage)
    with pytest.raises(ForeignStore) as refused:
        sweep(other.engine, shelf.storage, actor="clock")
    assert "prefix" in refused.value.hint
    assert shelf.objects() == stored_keys
    assert counted(other) == {"foreign_store": 1}
    sweep(other.engine, shelf.storage, actor="operator:test", force=True)
    assert shelf.objects() == set()
    with pytest.raises(ForeignStore):
        shelf.sweep()


Volume = tuple[str, bool, bool, bool, bool, bool, bool]
VOLUMES = st.tuples(
    st.sampled_from(["none", "writing", "stored"]),
    *[st.booleans()] * 6,  # closing, upload, object, excerpt, upload of an excerpt, old
)
WORLDS = st.lists(
    st.tuples(st.sampled_from(["queued", "running", "ready", "failed", "cancelled"]), st.lists(VOLUMES, max_size=4)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(planned=WORLDS)
def test_any_world(shelf: Shelf, planned: list[tuple[str, list[Volume]]]) -> None:
    """What a live row owns stays, what has no row stays while it is young, foreign names stay: the rest goes."""
    _emptied(shelf)
    stays: set[tuple[str, str | None]] = {(shelf.age(shelf.put("theirs/1.zip")), None)}
    rows: set[str] = set()
    for state, volumes in planned:
        export = shelf.export(state)
        live = state in {"queued", "running", "ready"}
        for number, volume in enumerate(volumes, 1):
            _place(shelf, export, number, volume, state, stays)
            if volume[0] != "none" and live and (volume[0] == "stored" or state != "ready"):
                rows.add(f"{export}/{number}")
    shelf.sweep()
    with reading(shelf.made.engine) as connection:
        left = {f"{row.export_id}/{row.number}" for row in connection.execute(select(VOLUME))}
    assert {*shelf.uploads(), *((key, None) for key in shelf.objects())} == stays
    assert left == rows
    report = shelf.sweep()
    assert (found(report), report.lost) == ({}, {})


def _emptied(shelf: Shelf) -> None:
    with writing(shelf.made.engine) as connection:
        connection.execute(delete(VOLUME))
    for key, upload_id in shelf.uploads():
        shelf.storage.abort(key, upload_id)
    for key in shelf.objects():
        shelf.storage.delete(key)


def _place(
    shelf: Shelf, export: str, number: int, volume: Volume, state: str, stays: set[tuple[str, str | None]]
) -> None:
    """Store one volume and the objects beside it; note what must stay."""
    row, closing, upload, whole, beside, beside_upload, old = volume
    is_open, is_live = state in {"queued", "running"}, state in {"queued", "running", "ready"}
    whole = whole or (row == "stored" and is_live)  # else it is lost, which is another test
    key = object_keys.fresh(export, number, 1)
    under_way = row == "writing" and is_open
    known_and_whole = row == "stored" and is_live
    unknown_and_young = row == "none" and not old
    begun = []
    for wanted, name in ((upload, key), (beside_upload, excerpts.key(key))):
        if wanted:
            begun.append((name, shelf.abandon(name)))
            if under_way or unknown_and_young or (known_and_whole and (name == key or not old)):
                stays.add(begun[-1])
    if whole:
        shelf.put(key)
        if under_way or known_and_whole or unknown_and_young:
            stays.add((key, None))
    if beside:
        shelf.excerpt(key)
        if under_way or unknown_and_young or (known_and_whole and (is_open or closing)):
            stays.add((excerpts.key(key), None))
    if old:
        shelf.age(key)
        shelf.age(excerpts.key(key))
    if row != "none":
        own = dict(begun).get(key, "none")
        shelf.volume(export, row, number, key=key, closing=closing, upload_id=own)
