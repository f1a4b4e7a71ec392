"""A synthetic export: from request to commit, with a made-up record in each dataset, without any trace.

No source is read. All rows in the control database are written in one transaction that is rolled back, and the archive
is not stored: a worker that is killed in the middle leaves nothing behind either.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import insert

from portability.api import JSON, Batch, Cursor, Dataset, FieldType, File, Record, Selection, Size, Subject, SubjectKind
from portability.api.errors import ObjectMissing
from portability.api.storages import OpenUpload, StoredObject
from portability.database import models
from portability.database.engine import now, undone, writing
from portability.law.profiles import Profile
from portability.requests import acceptance, slices
from portability.requests.policy import Actor
from portability.trust import audit, unchained
from worker.claim import claims
from worker.claim.lease import Lease
from worker.context import WorkerContext
from worker.export import step
from worker.process.waiting import waiting_work

SYNTHETIC = f"synthetic{secrets.token_hex(10)}"
"""Id of the user, the contact, the tenant and the export; no real one has it."""
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


def export(context: WorkerContext, seconds_max: float) -> None:
    """Run the synthetic export like a job. Raises PortabilityError."""
    exporters = {name: MadeUp(e.datasets, e.subject_kinds) for name, e in context.exporters.items()}
    there, limit = replace(context, storage=Nowhere(), exporters=exporters), context.settings.tenant_volumes_max
    with undone(there.engine), writing(there.engine) as connection:
        # By themselves and shortly: these hold locks that others wait for, or pass by.
        claims.lock_next(connection, claims.Ranks(slices.group(None), limit))
        claims.note_turn(connection, slices.group(None))
        audit.record(connection, "request.accepted", actor="warm-up")
        audit.chain(connection)
        unchained.has_unchained(connection)
    with undone(there.engine):
        _ask(there)
        waiting_work(there.engine, limit, small_only=False)
        claim = claims.claim_of(
            there.engine, SYNTHETIC, "warm-up", context.settings.lease_seconds, tenant_volumes_max=limit
        )
        if claim is not None:
            # The lease is never renewed: it is lost after half of its time.
            step(there, claim, Lease(there.engine, claim, 2 * seconds_max))


def _ask(context: WorkerContext) -> None:
    """Insert a request by a contact of a tenant that has ordered the export of everything."""
    request = acceptance.check(profile=Profile.ACCESS, subject=f"{SubjectKind.CONTACT}:{SYNTHETIC}", tenant=SYNTHETIC)
    order = {
        "id": SYNTHETIC,
        "tenant": SYNTHETIC,
        "created_at": now(),
        "created_by": "warm-up",
        "delivery": "subject",
    }
    with writing(context.engine) as connection:
        connection.execute(insert(models.instruction).values(order))
        acceptance.store(connection, request, SYNTHETIC, SYNTHETIC, actor=Actor("warm-up", ""))


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
        """Start an upload that is recorded like an upload of a large object."""
        del media_type
        if begun is not None:
            begun("")
        return Discarded(key)

    def abort(self, key: str, upload_id: str) -> None: ...

    def uploads(self, _prefix: str = "") -> Iterator[OpenUpload]:
        return iter(())

    def stat(self, key: str) -> StoredObject:
        raise ObjectMissing(f"{key} was not stored")

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        del offset, etag
        raise ObjectMissing(f"{key} was not stored")

    def list(self, _prefix: str = "") -> Iterator[StoredObject]:
        return iter(())

    def delete(self, key: str) -> None: ...

    def check(self) -> None: ...


@dataclass(slots=True)
class Discarded:
    """An upload that only counts its bytes."""

    key: str
    size: int = 0
    id = ""

    def write(self, block: bytes) -> None:
        self.size += len(block)

    def complete(self) -> StoredObject:
        return StoredObject(self.key, self.size, "", datetime.now(UTC))

    def abort(self) -> None: ...
