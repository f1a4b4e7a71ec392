"""What a rehearsal does in the control database: everything that a job does there, and none of it remains."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from factories import MadeUpExporter, World, described, things, world
from sqlalchemy import event, select

from portability.database import models
from portability.database.engine import reading, undone, writing
from portability.errors import LeaseLost
from portability.sources import PlatformSources
from worker.process import synthetic_export
from worker.process.warm_up import warm_process


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> Iterator[World]:
    notice, threshold = described(tmp_path / "notice", "made/things"), gc.get_threshold()
    yield world(tmp_path, {"made": MadeUpExporter(things(7))}, database_url=control_url, notice_dir=notice)
    gc.unfreeze()
    gc.set_threshold(*threshold)


def all_rows(made: World) -> dict[str, list[Any]]:
    with reading(made.engine) as connection:
        return {table.name: [*connection.execute(select(table))] for table in models.metadata.sorted_tables}


def test_no_row_of_any_table_is_left_or_changed(made: World) -> None:
    made.request()
    before = all_rows(made)
    warm_process(made.place, PlatformSources(made.place.settings))

    assert all_rows(made) == before


def test_nothing_is_written_to_a_disk(made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for a while: a worker that is killed in the middle would leave it behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    monkeypatch.setattr(made.place.storage, "begin", None)
    keys = sorted(made.place.settings.keys.iterdir())
    warm_process(made.place, PlatformSources(made.place.settings))

    assert sorted(made.place.settings.keys.iterdir()) == keys


@pytest.mark.usefixtures("own_statements")
def test_a_job_compiles_no_statement_after_it(made: World) -> None:
    """From the claim to the commit all statements on the control database have been compiled before."""
    warm_process(made.place, PlatformSources(made.place.settings))
    met: list[str] = []

    def note(*arguments: Any) -> None:
        if arguments[4].compiled is not None and arguments[4].cache_hit.name != "CACHE_HIT":
            met.append(arguments[2])

    event.listen(made.engine, "after_cursor_execute", note)
    identifier = made.request()
    met.clear()
    assert made.advance_all() == 1
    assert met == []
    assert made.view(identifier)["state"] == "ready"


def test_it_goes_all_the_way(made: World) -> None:
    """A fault in it would only slow down jobs, unnoticed: here warnings are errors."""
    synthetic_export.export(made.place, 30)


def test_it_does_not_continue_for_longer_than_it_may(made: World) -> None:
    """Others wait for its transaction."""
    with pytest.raises(LeaseLost):
        synthetic_export.export(made.place, -1)


def test_what_is_undone_has_not_happened(made: World) -> None:
    """A transaction in the block sees what earlier transactions wrote; a failed transaction rolls back itself only."""
    before = all_rows(made)
    with undone(made.engine):
        with writing(made.engine) as connection:
            connection.execute(models.turn.insert().values(tenant="first"))
        with suppress(ZeroDivisionError), writing(made.engine) as connection:
            connection.execute(models.turn.insert().values(tenant="second"))
            raise ZeroDivisionError
        with reading(made.engine) as connection:
            assert connection.scalars(select(models.turn.c.tenant)).all() == ["first"]
    assert all_rows(made) == before
    with writing(made.engine) as connection:
        connection.execute(models.turn.insert().values(tenant="third"))
    assert all_rows(made) != before
