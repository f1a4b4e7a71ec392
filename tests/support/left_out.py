"""Exports that lose a volume between its commit and the closing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from factories import MadeUpExporter, World, world
from sqlalchemy import RowMapping, delete, select

from portability.database import models
from portability.database.engine import reading, writing
from worker.close import stored_volumes
from worker.export import advance

RECORDS = 6000


def beginning(folder: Path, *, volumes: int) -> tuple[World, str]:
    """An export of 6,000 records that has written its first volumes, each of five pieces in two formats."""
    large = [{"id": f"thing_{number}", "text": "x" * 1000} for number in range(RECORDS)]
    made = world(folder, {"made": MadeUpExporter(large, batch_records=50)}, volume_members=10, piece_bytes=8_000)
    identifier = made.request(formats=["jsonl", "csv"])
    for _ in range(volumes):
        held = made.claim()
        assert held is not None
        advance(made.place, held)
    return made, identifier


def counted_export(folder: Path, *, left_out: int | None = None) -> tuple[World, str]:
    """The whole export; `left_out`: as a release without comparisons closed it after the row of a volume was lost."""
    made, identifier = beginning(folder, volumes=2)
    with ExitStack() as stack:
        if left_out is not None:
            forget(made, left_out)
            stack.enter_context(patch.object(stored_volumes, "compare", lambda *_: None))
        made.advance_all()
    return made, identifier


def forget(made: World, number: int) -> None:
    """What a database loses that is restored to an earlier time than its ledger."""
    with writing(made.engine) as connection:
        connection.execute(delete(models.volume).where(models.volume.c.number == number))


def volumes_of(made: World, identifier: str) -> Sequence[Path]:
    return made.fetch(identifier)


def volume_row(made: World, number: int) -> RowMapping:
    with reading(made.engine) as connection:
        return connection.execute(select(models.volume).where(models.volume.c.number == number)).mappings().one()
