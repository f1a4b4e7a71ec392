"""A feed of deals whose archives are imported, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import feeding
import unpacked
from factories import MadeUpExporter, dataset, world
from feeding import Feed
from importing import import_as
from sqlalchemy import Engine, select

from exporters.reference import schema
from portability.api import Field, FieldType, Provenance, Record, Role
from portability.database.engine import open_engine
from receiver.binding.target import ImportTarget
from receiver.importer.report import ImportReport

TARGET = ImportTarget(tenant="ten_here")
MORE = (
    Field("tenant_id", FieldType.STRING, "The company.", Provenance.PROVIDED),
    Field("name", FieldType.STRING, "The name.", Provenance.PROVIDED),
    Field("created_at", FieldType.DATETIME, "When it was made.", Provenance.PROVIDED),
)


def deals(*names: str) -> list[Record]:
    return [
        {"id": f"dea_{name}", "text": "", "tenant_id": "ten_1", "name": name, "created_at": "2026-01-01T00:00:00Z"}
        for name in names
    ]


class FeedImport:
    """A feed of deals, the folders of its archives, and the database that they are imported into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = MadeUpExporter(deals("a", "b", "c"), datasets=(dataset("deals", Role.PROCESSOR, *MORE),))
        self.feed: Feed = feeding.begin(world(folder, {"crm": self.source}), "tenant:ten_1", profile="switch")
        self.into = f"sqlite:///{folder}/target.db"
        self.archives: list[Sequence[Path]] = []

    def archive(self, *names: str, export: str | None = None) -> None:
        """Make the next archive, of these deals; of `export`, if it was requested before."""
        self.source.records = deals(*names)
        number = len(self.archives) + 1
        self.archives.append(unpacked.unpacked(self.feed.next(export), self.folder / f"in-{number}"))

    def take(self, number: int, **options: Any) -> ImportReport:
        """Import an archive by its place among those that were made."""
        return import_as(self.archives[number - 1], self.into, TARGET, **options)

    def here(self) -> list[str]:
        """Return the ids of the deals that are here."""
        engine = open_engine(self.into)
        with engine.connect() as connection:
            found = list(connection.scalars(select(schema.deals.c.id).order_by(schema.deals.c.id)))
        engine.dispose()
        return found

    def change(self, statement: Any) -> None:
        """Change the database, as its owner does."""
        engine: Engine = open_engine(self.into)
        with engine.begin() as connection:
            connection.execute(statement)
        engine.dispose()
