"""A revision is closed once: two primaries share the storage, and the second one finds the marker of the first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from factories import MadeUpExporter, World, things, world
from simultaneous import in_threads
from sqlalchemy import select, update

from portability.api.storages import ConditionalStorage, Storage, put
from portability.database import models
from portability.database.engine import now, writing
from worker.write import closing_marker
from worker.write.closing_marker import RevisionClosed
from worker.write.withdraw import withdraw_all

ID = "a" * 24


def closing_row(random: str) -> Any:
    return {"export_id": ID, "revision": 1, "slice": 0, "object_key": f"{ID}/00001.1.{random}.zip"}


ROW, OTHER = closing_row("01234567"), closing_row("89abcdef")
MARKER = f"{ID}/1.closing"


def test_of_many_who_create_an_object_one_succeeds(archives: Storage) -> None:
    """Also in threads at the same moment; the object has the content of the one that succeeded."""
    assert isinstance(archives, ConditionalStorage)
    created = in_threads(8, lambda number: (archives.create("one", f"{number}".encode()), number))
    (winner,) = [number for is_created, number in created if is_created]
    assert b"".join(archives.read("one")) == f"{winner}".encode()
    assert not archives.create("one", b"late")
    assert list(archives.uploads()) == []


def test_the_second_closing_of_a_revision_is_refused(made: World, archives: Storage) -> None:
    """The first may repeat it; a withdrawn volume takes its marker along, and no other one's."""
    closing_marker.place(made.engine, archives, ROW)
    closing_marker.place(made.engine, archives, ROW)
    with pytest.raises(RevisionClosed):
        closing_marker.place(made.engine, archives, OTHER)
    closing_marker.remove(archives, OTHER)
    assert b"".join(archives.read(MARKER)) == ROW["object_key"].encode()
    closing_marker.remove(archives, ROW)
    closing_marker.place(made.engine, archives, OTHER)


def test_the_marker_of_a_dead_worker_is_replaced(
    made: World, archives: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the journal had time to show that no other history has closed the revision."""
    closing_marker.place(made.engine, archives, ROW)
    monkeypatch.setattr(closing_marker, "DEAD_AFTER", timedelta(seconds=-5))
    closing_marker.place(made.engine, archives, OTHER)
    assert b"".join(archives.read(MARKER)) == OTHER["object_key"].encode()


def test_an_export_leaves_no_marker_behind(control_url: str, tmp_path: Any) -> None:
    """A ready archive has its marker; once it is withdrawn, storage has nothing of the export."""
    made = world(tmp_path, {"made": MadeUpExporter(things(3))}, database_url=control_url).with_all_keys()
    identifier = made.request()
    made.advance_all()
    assert f"{identifier}/1.closing" in made.stored_keys()
    withdraw_all(made.engine, made.place.storage, identifier)
    assert [key for key in made.stored_keys() if key.startswith(identifier)] == []


@pytest.mark.parametrize("ending", ["withdrawn", "remnant"])
def test_a_revision_that_is_closed_waits(
    control_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """The only attempt is not used up: it is made when the marker is withdrawn, or too old to be of a living worker.

    A restore loses the closing of the last moment, and the marker stays in storage.
    """
    made = world(
        tmp_path, {"made": MadeUpExporter(things(3))}, database_url=control_url, attempts_max=1
    ).with_all_keys()
    identifier = made.request()
    put(made.place.storage, f"{identifier}/1.closing", b"of a lost closing")
    made.advance_all()
    assert made.view(identifier)["state"] == "running"
    table = models.slice
    with writing(made.engine) as connection:
        wait = connection.execute(select(table.c.not_before, now().label("at"))).one()
        assert 15 < (wait.not_before - wait.at).total_seconds() <= 20
        connection.execute(update(table).values(not_before=None))
    if ending == "withdrawn":
        made.place.storage.delete(f"{identifier}/1.closing")
    else:
        monkeypatch.setattr(closing_marker, "DEAD_AFTER", timedelta(seconds=-5))
    made.advance_all()
    assert made.view(identifier)["state"] == "ready"
