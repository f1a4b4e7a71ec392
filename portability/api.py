"""What a plugin imports: the nouns of an export, and the protocols of exporters and formats.

An exporter reads one source and knows nothing of ZIP, storage, queues or law; the host does the rest.
`portability.testing.check_exporter` holds an exporter to the promises below.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from portability.tags import (
    ROLES_OF_SPEAKERS,
    FieldType,
    Person,
    Provenance,
    Role,
    SubjectKind,
    Withheld,
    WithheldKind,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = [
    "JSON",
    "ROLES_OF_SPEAKERS",
    "Batch",
    "CountingExporter",
    "Cursor",
    "Dataset",
    "Document",
    "DocumentFormat",
    "Exporter",
    "ExporterFactory",
    "Field",
    "FieldType",
    "File",
    "FileStore",
    "Format",
    "Gap",
    "Identity",
    "Person",
    "Provenance",
    "Record",
    "ResolvingExporter",
    "Role",
    "Selection",
    "Size",
    "Slice",
    "SlicingExporter",
    "Sources",
    "Subject",
    "SubjectKind",
    "Withheld",
    "WithheldKind",
]

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
Record: TypeAlias = Mapping[str, JSON]
Cursor: TypeAlias = str
"""Opaque: only the exporter that issued it reads it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One identifier of a subject in one source. Only verified identities may select data."""

    source: str
    kind: str
    value: str = field(repr=False)
    verified: bool = False
    tenant: str | None = None
    """The tenant within which the identifier means this subject; None: platform-wide."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The person or tenant whose data is exported."""

    kind: SubjectKind
    tenant: str | None
    """The wall: a contact's tenant, or the tenant itself; None for a user."""
    ref: str
    """Pairwise pseudonym: opaque, safe in logs and object keys."""
    identities: tuple[Identity, ...] = ()

    def verified(self, kind: str) -> tuple[str, ...]:
        """Values of the verified identities of one kind, in a stable order without doubles."""
        return tuple(dict.fromkeys(i.value for i in self.identities if i.verified and i.kind == kind))


@dataclass(frozen=True, slots=True)
class Field:
    """One named column of a dataset. What is not declared is not exported."""

    name: str
    type: FieldType
    description: str
    provenance: Provenance
    third_party: bool = False
    """True where the value may be about somebody other than the subject."""
    person: Person | None = None
    """Of whom the value tells beside the subject: redacted for people, not in `switch`. Of text, objects, no key."""
    description_id: str | None = None  # in Indonesian


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named table of records, with what a reader and the profiles need to know of it."""

    name: str
    title: str
    description: str
    fields: tuple[Field, ...]
    provenance: Provenance
    role: Role
    key: tuple[str, ...]
    """Names of the fields that identify a record for ever (R30)."""
    subject_kinds: frozenset[SubjectKind] | None = None
    """Narrower than the exporter's, where given."""
    documents: bool = False
    """Its records become one document each, by the document formats of the export, and no rows."""
    withheld: tuple[Withheld, ...] = ()
    """What the source holds beside these fields and does not deliver."""
    title_id: str | None = None  # in Indonesian
    description_id: str | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """A half-open range of a dataset's records in their stable order, [begin, end); None is open.

    A bound is opaque to all but its exporter, as a cursor is, and plain text: no NUL, no lone surrogates. It names a
    place, not a record, and keeps its meaning when records come and go.
    """

    begin: str | None = None
    end: str | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of a dataset is asked for. Times are aware UTC; `since` is inclusive, `until` exclusive."""

    slice: Slice | None = None
    """Only of those that the same exporter offered for the same subject and dataset; None: the whole."""
    since: datetime | None = None
    until: datetime | None = None
    began_at: datetime | None = None
    """Start of the export: rows with an immutable creation time after it are left out."""


@dataclass(frozen=True, slots=True)
class File:
    """A binary beside the records, streamed from any byte offset."""

    name: str
    """Relative to the dataset's folder, made of ids; the host sanitises it."""
    media_type: str
    size: int | None
    """Bytes that the source promises; fewer is a gap."""
    open: Callable[[int], Iterator[bytes]] = field(repr=False)
    """`open(offset)` yields blocks from that byte on; raises `SourceUnavailable` or `SourceRefused`.

    While one file of a batch is read, the next one may be opened in another thread.
    """
    etag: str | None = None
    """Version of the content: a resumed read of another version must raise `SourceUnavailable`."""
    sha256: str | None = None
    """Lower-case hex of the whole content, where the source knows it."""
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that should be there and is not. `what` names it by id, never by content."""

    what: str
    reason: str
    """A short code: `missing`, `truncated`, `changed`, `unreadable`, `source_unavailable`, `source_refused` ..."""
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """A resumable run of records: after it, `cursor` gives the same rest."""

    records: Sequence[Record]
    cursor: Cursor
    files: tuple[File, ...] = ()
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Size:
    """How much a selection holds, for progress and planning; bytes of files included, None: unknown."""

    records: int
    bytes: int | None = None


class FileStore(Protocol):
    """Where recordings and attachments lie. Keys are relative and come from the source's own rows. Threads share it."""

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        """Blocks of about 1 MiB from byte `offset` on; with `etag`, of that version only.

        Raises: SourceUnavailable (retry), SourceRefused (missing, forbidden).
        """
        ...

    def stat(self, key: str) -> tuple[int, str] | None:
        """(bytes, etag), or None where there is no such object."""
        ...


class Sources(Protocol):
    """What the host lends an exporter: connections by name, opened on first use, in the process that exports."""

    @property
    def database(self) -> Engine:
        """The platform's database (`PORTABILITY_SOURCE_URL`): for short reading transactions only."""
        ...

    @property
    def files(self) -> FileStore:
        """The platform's recordings and attachments (`PORTABILITY_RECORDINGS_URL`)."""
        ...


@runtime_checkable
class Exporter(Protocol):
    """Reads one source. Entry point group `portability.exporters`: a factory `(sources: Sources) -> Exporter`.

    Promises: stable order; the same `after` gives the same rest; JSON values only; an unknown subject yields
    nothing; closing the generator early frees its resources; a fault is `SourceUnavailable` (retried) or
    `SourceRefused` (not). Every query carries the tenant wall and selects by verified identities.
    """

    @property
    def subject_kinds(self) -> frozenset[SubjectKind]: ...
    @property
    def datasets(self) -> Sequence[Dataset]: ...

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        """Batches of the dataset's records of this subject, after the given cursor."""
        ...


@runtime_checkable
class CountingExporter(Exporter, Protocol):
    """Optional: tells how much is coming."""

    def count(self, subject: Subject, dataset: Dataset, selection: Selection) -> Size: ...


@runtime_checkable
class SlicingExporter(Exporter, Protocol):
    """Optional: cuts a dataset into contiguous slices, which several machines read at the same time.

    Promises: one slice to `n`; the first has no begin and the last no end, each other one begins where the one before
    it ends, none is empty; on the same data the same slices. Read in turn they give the records and files of the whole,
    in its order, each once; cursors and counts hold within a slice. Slices of equal work are best (bytes of files, else
    records). Of a selection that is a slice, its own parts.
    """

    def slices(self, subject: Subject, dataset: Dataset, selection: Selection, n: int) -> Sequence[Slice]:
        """Where to cut. The host reads the dataset in one if this raises or breaks a promise."""
        ...


@runtime_checkable
class ResolvingExporter(Exporter, Protocol):
    """Optional: finds further identities of a subject from its verified ones."""

    def identities(self, subject: Subject) -> Sequence[Identity]: ...


ExporterFactory: TypeAlias = Callable[[Sources], Exporter]


@runtime_checkable
class Format(Protocol):
    """Records to bytes. Entry point group `portability.formats`: the object itself."""

    @property
    def suffix(self) -> str:
        """With the dot: `.jsonl`."""
        ...

    @property
    def media_type(self) -> str: ...

    def encode(self, dataset: Dataset, records: Iterable[Record]) -> Iterator[bytes]:
        """The bytes of one whole member. An empty run of records gives a valid, empty document.

        Raises: FormatError for a value that the format cannot carry without loss.
        """
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """One file made of one record."""

    name: str
    body: bytes = field(repr=False)


@runtime_checkable
class DocumentFormat(Protocol):
    """Second kind of format: files of one record each, for datasets with `documents` whose records it knows."""

    @property
    def suffix(self) -> str: ...
    @property
    def media_type(self) -> str: ...
    def documents(self, dataset: Dataset, record: Record) -> Iterator[Document]:
        """The documents of one record, by names made of ids; none where the dataset is nothing that it knows.

        Raises: FormatError for a record that the format cannot carry: it becomes a gap.
        """
        ...
