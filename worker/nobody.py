"""Nobody's export: from request to commit, with a made-up record in each dataset. Nothing is left of it.

No source is asked. What is written in the control database is one transaction that is rolled back, and the archive is
written nowhere: a worker that is killed in the middle leaves nothing either.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import insert

from portability import models, requests
from portability.api import (
    JSON,
    Batch,
    Cursor,
    Dataset,
    FieldType,
    File,
    Record,
    Selection,
    Size,
    Subject,
    SubjectKind,
)
from portability.db import now, undone, writing
from portability.errors import ObjectMissing
from portability.requests import Profile
from portability.storage import OpenUpload, StoredObject
from worker import claims, pipeline
from worker.lease import Lease
from worker.workplace import Workplace

NOBODY = f"nobody{secrets.token_hex(10)}"
"""Id of the user, the contact, the tenant and the export: nobody has it."""
VALUES: Mapping[FieldType, JSON] = {
    FieldType.STRING: "Made up.",
    FieldType.INTEGER: 1,
    FieldType.NUMBER: 1.5,
    FieldType.DECIMAL: "1.5",
    FieldType.BOOLEAN: True,
    FieldType.DATETIME: "2026-01-01T00:00:00.000000Z",
    FieldType.DATE: "2026-01-01",
    FieldType.OBJECT: {"made": "up"},
}
CONTENT = b"Made up."
MEDIA = {"sound": "audio/wav", "text": "text/plain"}


def export(place: Workplace, seconds_max: float) -> None:
    """Make it, as jobs do. Raises PortabilityError."""
    exporters = {name: MadeUp(e.datasets, e.subject_kinds) for name, e in place.exporters.items()}
    there, limit = replace(place, storage=Nowhere(), exporters=exporters), place.settings.tenant_volumes_max
    with undone(there.engine):
        _ask(there)
        claims.waiting(there.engine, limit)
        held = claims.claim_of(
            there.engine, NOBODY, "rehearsal", place.settings.lease_seconds, tenant_volumes_max=limit
        )
        if held is not None:
            # Nothing renews it: after half of its time it is lost.
            pipeline.step(there, held, Lease(there.engine, held, 2 * seconds_max))


def _ask(place: Workplace) -> None:
    """A request by a contact of a tenant that has ordered the export of everything."""
    asked = requests.check(profile=Profile.ACCESS, subject=f"{SubjectKind.CONTACT}:{NOBODY}", tenant=NOBODY)
    order = {"id": NOBODY, "tenant": NOBODY, "created_at": now(), "created_by": "rehearsal", "delivery": "subject"}
    with writing(place.engine) as connection:
        connection.execute(insert(models.instruction).values(order))
        requests.store(connection, asked, NOBODY, NOBODY, actor="rehearsal")


@dataclass(frozen=True, slots=True)
class MadeUp:
    """The datasets of an exporter, each with one made-up record and two files."""

    datasets: Sequence[Dataset]
    subject_kinds: frozenset[SubjectKind]

    def export(
        self, _subject: Subject, dataset: Dataset, _selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        if after is None:
            files = tuple(File(f"{kind}.{dataset.name}", media, len(CONTENT), _read) for kind, media in MEDIA.items())
            yield Batch([_record(dataset)], "1", () if dataset.documents else files)

    def count(self, _subject: Subject, _dataset: Dataset, _selection: Selection) -> Size:
        return Size(1)


def _record(dataset: Dataset) -> Record:
    return {field.name: VALUES[field.type] for field in dataset.fields}


def _read(offset: int) -> Iterator[bytes]:
    yield CONTENT[offset:]


class Nowhere:
    """A storage that keeps nothing."""

    url = "nowhere:"

    def begin(
        self, key: str, *, media_type: str = "application/octet-stream", begun: Callable[[str], object] | None = None
    ) -> Discarded:
        """Start an upload that is noted like one of a large object."""
        del media_type
        if begun is not None:
            begun("")
        return Discarded(key)

    def abort(self, key: str, upload_id: str) -> None: ...

    def uploads(self, _prefix: str = "") -> Iterator[OpenUpload]:
        return iter(())

    def stat(self, key: str) -> StoredObject:
        raise ObjectMissing(f"{key} was written nowhere")

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        del offset, etag
        raise ObjectMissing(f"{key} was written nowhere")

    def list(self, _prefix: str = "") -> Iterator[StoredObject]:
        return iter(())

    def delete(self, key: str) -> None: ...

    def check(self) -> None: ...


@dataclass(slots=True)
class Discarded:
    """An upload of which only the size is kept."""

    key: str
    size: int = 0
    id = ""

    def write(self, block: bytes) -> None:
        self.size += len(block)

    def complete(self) -> StoredObject:
        return StoredObject(self.key, self.size, "", datetime.now(UTC))

    def abort(self) -> None: ...
