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

from portability import models
from portability.db import reading, undone, writing
from portability.errors import LeaseLost
from portability.sources import PlatformSources
from worker import nobody
from worker.rehearsal import rehearse


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> Iterator[World]:
    notice, threshold = described(tmp_path / "notice", "made/things"), gc.get_threshold()
    yield world(tmp_path, {"made": MadeUpExporter(things(7))}, database_url=control_url, notice_dir=notice)
    gc.unfreeze()
    gc.set_threshold(*threshold)


def rows(made: World) -> dict[str, list[Any]]:
    with reading(made.engine) as connection:
        return {table.name: [*connection.execute(select(table))] for table in models.metadata.sorted_tables}


def test_no_row_of_any_table_is_left_or_changed(made: World) -> None:
    made.request()
    before = rows(made)
    rehearse(made.place, PlatformSources(made.place.settings))

    assert rows(made) == before


def test_nothing_is_written_to_a_disk(made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for a while: a worker that is killed in the middle would leave it behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    monkeypatch.setattr(made.place.storage, "begin", None)
    keys = sorted(made.place.settings.keys.iterdir())
    rehearse(made.place, PlatformSources(made.place.settings))

    assert sorted(made.place.settings.keys.iterdir()) == keys


def test_a_job_compiles_no_statement_after_it(made: World) -> None:
    """From the claim to the commit all statements on the control database have been compiled before."""
    rehearse(made.place, PlatformSources(made.place.settings))
    met: list[str] = []

    def note(*told: Any) -> None:
        if told[4].compiled is not None and told[4].cache_hit.name != "CACHE_HIT":
            met.append(told[2])

    event.listen(made.engine, "after_cursor_execute", note)
    identifier = made.request()
    met.clear()
    assert made.advance_all() == 1
    assert met == []
    assert made.view(identifier)["state"] == "ready"


def test_it_goes_all_the_way(made: World) -> None:
    """A fault in it would only cost warmth, and nobody would see it: here it is no warning but an error."""
    nobody.export(made.place, 30)


def test_it_does_not_go_on_for_longer_than_it_may(made: World) -> None:
    """Others wait for its transaction."""
    with pytest.raises(LeaseLost):
        nobody.export(made.place, -1)


def test_what_is_undone_has_not_happened(made: World) -> None:
    """Transactions in the block see what those before them wrote, and one that fails takes back its own alone."""
    before = rows(made)
    with undone(made.engine):
        with writing(made.engine) as connection:
            connection.execute(models.turn.insert().values(tenant="first"))
        with suppress(ZeroDivisionError), writing(made.engine) as connection:
            connection.execute(models.turn.insert().values(tenant="second"))
            raise ZeroDivisionError
        with reading(made.engine) as connection:
            assert connection.scalars(select(models.turn.c.tenant)).all() == ["first"]
    assert rows(made) == before
    with writing(made.engine) as connection:
        connection.execute(models.turn.insert().values(tenant="third"))
    assert rows(made) != before
