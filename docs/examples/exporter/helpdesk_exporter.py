"""Notes that account holders keep in the helpdesk."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from sqlalchemy import bindparam, text
from sqlalchemy.exc import DBAPIError, OperationalError

from portability.api import (
    Batch,
    Cursor,
    Dataset,
    Exporter,
    Field,
    FieldType,
    Provenance,
    Role,
    Selection,
    SourceRefused,
    Sources,
    SourceUnavailable,
    Subject,
    SubjectKind,
)

NOTES = Dataset(
    name="notes",
    title="Notes",
    description="Notes that you keep in the helpdesk.",
    fields=(
        Field("id", FieldType.STRING, "Permanent identifier of the note.", Provenance.OBSERVED),
        Field("text", FieldType.STRING, "What you wrote.", Provenance.PROVIDED, third_party=True),
        Field("urgency", FieldType.NUMBER, "Urgency from 0 to 1, as estimated by software.", Provenance.DERIVED),
    ),
    provenance=Provenance.PROVIDED,
    role=Role.CONTROLLER,
    key=("id",),
)
QUERY = text(
    "select id, text, urgency from helpdesk_notes where owner in :owners and id > :after order by id limit 500"
).bindparams(bindparam("owners", expanding=True))


class HelpdeskNotes:
    """Reads the notes of one account holder, 500 at a time."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    @property
    def subject_kinds(self) -> frozenset[SubjectKind]:
        return frozenset({SubjectKind.USER})

    @property
    def datasets(self) -> Sequence[Dataset]:
        return [NOTES]

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        del dataset, selection  # there is one dataset, and its rows have no time of creation
        owners = subject.verified("user_id")
        while owners:
            try:
                with self._sources.database.connect() as connection:
                    rows = connection.execute(QUERY, {"owners": owners, "after": after or ""}).mappings().all()
            except OperationalError:
                raise SourceUnavailable("helpdesk/notes: the database does not answer") from None
            except DBAPIError:
                raise SourceRefused("helpdesk/notes: the database refuses the query") from None
            if not rows:
                return
            after = str(rows[-1]["id"])
            yield Batch([dict(row) for row in rows], cursor=after)


def exporter(sources: Sources) -> Exporter:
    """Make the exporter; the entry point names this function."""
    return HelpdeskNotes(sources)
