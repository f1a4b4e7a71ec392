from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from factories import MadeUpExporter, World, things, world
from faults import FaultyStorage, Operation
from sweeping import AgedStorage, Shelf, found

from portability.api.errors import ForeignStore, StorageUnavailable
from portability.database import incidents
from portability.database.engine import now, reading
from portability.errors import LeaseLost
from portability.storage.local import LocalStorage
from portability.trust import audit
from worker.claim import fenced_writes
from worker.clock.sweep import sweep
from worker.export import advance


def ready_keys(shelf: Shelf, exports: int) -> list[str]:
    """Return the keys of the only volume of each of `exports` ready exports."""
    return [shelf.stored(shelf.export("ready"), closing=True) for _ in range(exports)]


def events(made: World, identifier: str) -> Sequence[dict[str, object]]:
    with reading(made.engine) as connection:
        return [dict(event) for event in audit.events(connection, export_id=identifier)]


def counted(made: World) -> dict[str, int]:
    return {row["kind"]: row["count"] for row in incidents.counted(made.engine)}


@pytest.mark.parametrize("state", ["running", "closing", "ready"])
def test_an_export_whose_volume_is_gone_fails(shelf: Shelf, state: str) -> None:
    """Code, number, audit event and incident; what is left of it is removed, other exports are not touched."""
    others = ready_keys(shelf, 3)
    export = shelf.export(state)
    shelf.volume(export, "stored", 1)
    shelf.stored(export, 2)
    report = shelf.sweep()
    assert report.lost == {export: [1]}
    view = shelf.made.view(export)
    assert (view["state"], view["error"]["code"]) == ("failed", "object_missing")
    assert view["error"]["message"] == f"export {export}: storage has lost volume 1"
    assert view["ended_at"] is not None
    (event,) = (found for found in events(shelf.made, export) if found["action"] == "export.failed")
    assert (event["action"], event["actor"]) == ("export.failed", "operator:test")
    assert event["detail"] == {"code": "object_missing", "volume": 1, "volumes": 1}
    assert (shelf.objects(), shelf.rows()) == (set(others), set(others))
    assert counted(shelf.made) == {"object_lost": 1, "swept": 3}
    assert shelf.sweep().lost == {}


def test_a_message_names_a_few_volumes(shelf: Shelf) -> None:
    """A terabyte that lost hundreds of volumes has a readable message."""
    ready_keys(shelf, 8)
    export = shelf.export("ready")
    for number in range(1, 8):
        shelf.volume(export, "stored", number)
    shelf.sweep()
    assert shelf.made.view(export)["error"]["message"].endswith("has lost volumes 1, 2, 3, 4, 5 and 2 more")


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_objects_of_an_ended_export_are_not_missed(shelf: Shelf, state: str) -> None:
    """Their state stays what it was; only the rows go."""
    ready_keys(shelf, 1)
    export = shelf.export(state)
    shelf.volume(export, "stored")
    report = shelf.sweep()
    assert (found(report), report.lost) == ({"row": 1}, {})
    assert shelf.made.view(export)["state"] == state


def test_a_volume_that_is_not_stored_yet_is_not_lost(shelf: Shelf) -> None:
    """A row that says `writing` promises nothing."""
    shelf.volume(shelf.export("running"), "writing")
    assert shelf.sweep().lost == {}


def test_what_a_listing_leaves_out_is_looked_for(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only storage's answer for one object, `stat`, makes it lost: listings may lag behind."""
    keys = ready_keys(shelf, 4)
    whole = shelf.storage.list
    with monkeypatch.context() as patch:
        patch.setattr(shelf.storage, "list", lambda *_args: (o for o in whole() if o.key != keys[0]))
        assert shelf.sweep().lost == {}


def test_what_was_stored_during_the_listing_is_not_judged_by_it(shelf: Shelf) -> None:
    """Four volumes committed meanwhile do not count as lost."""
    export = shelf.export("running")

    def commit() -> None:
        shelf.storage.after_listing = lambda: None
        for number in range(1, 5):
            shelf.stored(export, number, stored_at=now())

    shelf.storage.after_listing = commit
    assert shelf.sweep().lost == {}
    assert len(shelf.objects()) == 4


def test_a_storage_that_does_not_answer_loses_nothing(shelf: Shelf) -> None:
    """Only `object_missing` is a proof: with any other error the sweep fails, and the export stays."""
    ready_keys(shelf, 3)
    export = shelf.export("ready")
    shelf.volume(export, "stored")

    def away(operation: Operation, _count: int) -> None:
        if operation == "stat":
            raise StorageUnavailable("away")

    with pytest.raises(StorageUnavailable):
        sweep(shelf.made.engine, FaultyStorage(shelf.storage, before=away), actor="operator:test")
    assert shelf.made.view(export)["state"] == "ready"


@pytest.mark.parametrize(
    ("there", "gone", "refused"), [(2, 2, False), (1, 2, False), (1, 3, True), (2, 3, True), (0, 1, True)]
)
def test_a_storage_that_lacks_most_is_another_one(shelf: Shelf, there: int, gone: int, refused: bool) -> None:
    """More than half of four volumes or more, or all volumes: nothing is changed without --force."""
    ready_keys(shelf, there)
    missing = [shelf.export("ready") for _ in range(gone)]
    for export in missing:
        shelf.volume(export, "stored")
    shelf.put("theirs/1.jpg")
    failed = shelf.export("failed")
    shelf.volume(failed, "writing")
    if refused:
        with pytest.raises(ForeignStore) as raised:
            shelf.sweep()
        assert f"{gone} of {there + gone} stored volumes" in str(raised.value)
        assert "--force" in raised.value.hint
        assert {shelf.made.view(export)["state"] for export in missing} == {"ready"}
        assert len(shelf.rows()) == there + gone + 1
        assert counted(shelf.made) == {"foreign_store": 1}
        assert "portability-owner" not in {listed.key for listed in shelf.storage.inner.list()}
        with pytest.raises(ForeignStore):
            shelf.sweep(dry_run=True)
    report = shelf.sweep(force=True)
    assert report.lost.keys() == set(missing)
    assert {shelf.made.view(export)["state"] for export in missing} == {"failed"}


def test_a_folder_that_is_not_mounted_loses_nothing(control_url: str, tmp_path: Path) -> None:
    """Without the folder there is no storage: StorageUnavailable, even with --force."""
    made = world(tmp_path, {}, database_url=control_url)
    with pytest.raises(StorageUnavailable):
        sweep(made.engine, LocalStorage(tmp_path / "absent"), actor="operator:test", force=True)


def test_a_worker_stops_where_its_export_has_failed(control_url: str, tmp_path: Path) -> None:
    """A worker on the next volume of an export whose first one is gone stops at its next fenced write."""
    made = world(tmp_path, {"made": MadeUpExporter(things(3))}, database_url=control_url)
    shelf = Shelf(made, AgedStorage(made.place.storage))
    export = made.request()
    shelf.storage.delete(shelf.stored(export))
    held = made.claim()
    assert held is not None
    shelf.sweep(force=True)
    assert made.view(export)["state"] == "failed"
    with pytest.raises(LeaseLost):
        fenced_writes.renew(made.engine, held, 60, {})
    assert advance(made.place, held) == 0
    assert made.claim() is None
    assert (shelf.objects(), shelf.uploads()) == (set(), set())
    assert [event["action"] for event in events(made, export)].count("export.failed") == 1
