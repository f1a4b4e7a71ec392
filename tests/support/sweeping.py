"""Storages and databases that disagree, made on purpose: what a sweep finds."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from factories import World
from sqlalchemy import insert, select, update

from portability.api.storages import OpenUpload, Storage, StoredObject, Upload
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.storage.local import LocalUpload
from worker.clock.orphans import YOUNG, OrphanKind
from worker.clock.sweep import SweepReport, sweep
from worker.write import excerpts, object_keys

EXPORT, VOLUME = models.export, models.volume
LONG_AGO = YOUNG + timedelta(hours=1)


@dataclass
class AgedStorage:
    """A storage in which some keys, or all, seem older than they are; `after_listing` runs at the end of a listing."""

    inner: Storage
    old: set[str] = field(default_factory=set)
    all_old: bool = False
    after_listing: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def url(self) -> str:
        return self.inner.url

    def begin(
        self, key: str, *, media_type: str = "application/octet-stream", begun: Callable[[str], object] | None = None
    ) -> Upload:
        return self.inner.begin(key, media_type=media_type, begun=begun)

    def uploads(self, prefix: str = "") -> Iterator[OpenUpload]:
        for found in self.inner.uploads(prefix):
            yield replace(found, begun_at=found.begun_at - self._age(found.key))
        self.after_listing()

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        for found in self.inner.list(prefix):
            yield replace(found, modified_at=found.modified_at - self._age(found.key))
        self.after_listing()

    def _age(self, key: str) -> timedelta:
        return LONG_AGO if self.all_old or key in self.old else timedelta()


@dataclass
class Shelf:
    """A world whose storage and rows are put there by hand."""

    made: World
    storage: AgedStorage
    subjects: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    def export(self, state: str = "running") -> str:
        identifier = self.made.request(f"user:usr_{next(self.subjects)}")
        self.becomes(identifier, state)
        return identifier

    def becomes(self, identifier: str, state: str) -> None:
        with writing(self.made.engine) as connection:
            connection.execute(update(EXPORT).where(EXPORT.c.id == identifier).values(state=state))

    def volume(self, export_id: str, state: str, number: int = 1, *, key: str = "", **row: Any) -> str:
        """A volume's row and its key; nothing is put in storage."""
        key = key or object_keys.fresh(export_id, number, 1)
        values = {"export_id": export_id, "number": number, "fence": 1, "state": state, "object_key": key}
        values |= {"upload_id": "none", "closing": False, "name": f"volume-{number:03}", "began_at": now(-60)}
        values |= {"stored_at": now(-30) if state == "stored" else None, **row}
        with writing(self.made.engine) as connection:
            connection.execute(insert(VOLUME).values(**values))
        return key

    def stored(self, export_id: str, number: int = 1, **row: Any) -> str:
        """A volume that is whole: its row and its object."""
        return self.put(self.volume(export_id, "stored", number, **row))

    def put(self, key: str, body: bytes = b"12345") -> str:
        upload = self.storage.begin(key)
        upload.write(body)
        upload.complete()
        return key

    def abandon(self, key: str) -> str:
        """An upload that a killed worker left open; returns its id."""
        upload = self.storage.begin(key)
        if isinstance(upload, LocalUpload):
            upload._file.close()
        return upload.id

    def excerpt(self, key: str) -> str:
        return self.put(excerpts.key(key), b"123")

    def age(self, key: str) -> str:
        self.storage.old.add(key)
        return key

    def sweep(self, **how: bool) -> SweepReport:
        return sweep(self.made.engine, self.storage, actor="operator:test", **how)

    def objects(self) -> set[str]:
        return {found.key for found in self.storage.inner.list()} - {"portability-owner"}

    def uploads(self) -> set[tuple[str, str]]:
        return {(found.key, found.upload_id) for found in self.storage.inner.uploads()}

    def rows(self) -> set[str]:
        with reading(self.made.engine) as connection:
            return set(connection.scalars(select(VOLUME.c.object_key)))


def found(report: SweepReport) -> dict[str, int]:
    """Counts by kind, of what there is."""
    return {tally.kind.value: tally.count for tally in report.tallies if tally.count}


def sizes(report: SweepReport, kinds: Sequence[OrphanKind]) -> list[int]:
    """Bytes of some kinds."""
    return [tally.bytes for kind in kinds for tally in report.tallies if tally.kind is kind]


def unknown_export() -> str:
    """An id as exports have it, that no row has."""
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(24))
