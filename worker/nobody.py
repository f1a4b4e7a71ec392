"""Nobody's export: from request to commit, with a made-up record in each dataset. Nothing is left of it.

No source is asked. What is written in the control database is one transaction that is rolled back, the archive lies in
a folder that is deleted, and the key that signs it is made for it.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import insert

from portability import keys, models, requests
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
from portability.requests import Profile
from portability.storage.local import LocalStorage
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
    with tempfile.TemporaryDirectory(prefix="portability-") as name, undone(place.engine):
        folder = Path(name)
        there = replace(
            place,
            settings=place.settings.model_copy(update={"keys_dir": folder / "keys"}),
            storage=LocalStorage(folder / "archives"),
            exporters={name: MadeUp(e.datasets, e.subject_kinds) for name, e in place.exporters.items()},
        )
        _ask(there)
        limit = place.settings.tenant_volumes_max
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
        keys.add(connection, place.settings.keys)
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
