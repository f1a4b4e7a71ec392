"""The nouns of an export, as exporters and formats see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from portability.api.tags import (
    FieldType,
    Person,
    Provenance,
    Role,
    RowRemark,
    SubjectKind,
    Withheld,
)

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
Record: TypeAlias = Mapping[str, JSON]
Cursor: TypeAlias = str
"""Opaque: only the exporter that issued it reads it."""
PRIVATE_CURSOR = "private:"
"""What a cursor begins with that may name a person or contain a secret: it is stored encrypted."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One identifier of a subject in one source. Only verified identities may select data."""

    source: str
    """Name of the source that found it; the host sets it."""
    kind: str
    value: str = field(repr=False)
    verified: bool = False
    tenant: str | None = None
    """The tenant within which the identifier identifies this subject; None: on the whole platform."""


NEEDS_REVIEW = "needs_review"
"""The reason of a gap: a person must decide whether the record is the subject's. A retry alone does not close it."""


FIRST_IDENTITY: Mapping[SubjectKind, tuple[str, str]] = {
    SubjectKind.USER: ("account", "user_id"),
    SubjectKind.CONTACT: ("crm", "contact_id"),
    SubjectKind.TENANT: ("account", "tenant_id"),
    SubjectKind.EMAIL: ("request", "email"),
    SubjectKind.PHONE: ("request", "phone"),
}
"""Source and kind of the identity that a request names, by the kind of its subject."""


STAFF_IDENTITY = "staff_id"
"""The kind of identity of a user as a member of a tenant's staff: the account's id, at that tenant.

Its source is the exporter whose rows name the user."""


def first_identity(kind: SubjectKind, identifier: str, tenant: str | None) -> Identity:
    """Make the identity that a request names; it was verified when the request was accepted."""
    source, named = FIRST_IDENTITY[kind]
    return Identity(source, named, identifier, verified=True, tenant=tenant)


@dataclass(frozen=True, slots=True)
class IdentityUse:
    """Which kinds of identities an exporter uses and finds, beside the identity that the request names.

    An exporter without this declaration may use and find any kind.
    """

    selects_by: frozenset[str] | None = None
    """Kinds by which it selects records, and from which its `identities()` finds others."""
    finds: frozenset[str] | None = None
    """Kinds that its `identities()` returns."""
    reviewed: Mapping[str, str] = field(default_factory=dict)
    """Kinds whose unverified identities name a record that a person must review, with its dataset `exporter/dataset`.

    The value of such an identity is the record's key. It selects nothing; each dataset that may contain such records
    yields gaps with the reason `NEEDS_REVIEW` before its first record. If an officer decides that the record is the
    subject's, the host makes the identity verified; if not, the host leaves it out.
    """
    trusts: frozenset[str] | None = None
    """Exporters whose identities it accepts, beside its own and the one that the request names.

    The host removes the identities of other exporters from each subject that it passes. A deployment may name other
    sources (`trusts` in the file of sources). None: exporters of packages accept each other, and no other source.
    """
    permanent: bool = False
    """Whether what its `identities()` returns is never another person's later, also after its rows are deleted.

    The host then need not ask again, after it has read a volume, whether the identities are still the subject's.
    """


@dataclass(frozen=True, slots=True)
class Subject:
    """The person or tenant whose data is exported."""

    kind: SubjectKind
    tenant: str | None
    """The tenant that all queries filter by: a contact's tenant, or the tenant itself; None for all others."""
    ref: str
    """A pairwise pseudonym: opaque, safe in logs and object keys."""
    identities: tuple[Identity, ...] = ()

    def verified(self, kind: str) -> tuple[str, ...]:
        """Return the values of the verified identities of one kind, in a stable order without duplicates.

        The host has left out identities of sources that the exporter does not trust (`IdentityUse.trusts`).
        """
        return tuple(dict.fromkeys(i.value for i in self.identities if i.verified and i.kind == kind))


@dataclass(frozen=True, slots=True)
class NestedKey:
    """A key that the JSON values of a field may have: a decision that people get what it contains."""

    path: str
    """A JSON Pointer (RFC 6901) without indexes: `/order/lines`. The elements of a list have the path of the list.

    A step `*` is any name; what is below a key is declared by paths of its own.
    """
    is_about_other: bool = False
    """True if the value is about another person, with everything in it: people get a mark, as for `Person.OTHER`."""


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A value that a field of texts may have, and what people read for it."""

    value: str
    label: str
    """In English; catalogues translate it."""


@dataclass(frozen=True, slots=True)
class Field:
    """One named column of a dataset. A column that is not declared is not exported."""

    name: str
    type: FieldType
    description: str
    provenance: Provenance
    third_party: bool = False
    """True if the value may be about a person other than the subject."""
    person: Person | None = None
    """Which other person the value is about: redacted for people, not in `switch`. For texts and objects, not keys."""
    keys: tuple[NestedKey, ...] | None = None
    """The keys of its JSON values; None: any. People do not get other keys: they are a gap `coverage_undecided`.

    In the texts of these values, addresses of other people are masked. `switch` contains all keys. For objects.
    """
    values: tuple[FieldValue, ...] = ()
    """The values that the source writes, with their labels; empty: any. Records with other values are delivered."""
    refers_to: str | None = None
    """The dataset whose records the value identifies, as `exporter/dataset`. The archive may lack such a record."""


@dataclass(frozen=True, slots=True)
class DisclosureFields:
    """The fields by which each record says to whom data was disclosed; the notice lists these recipients by name."""

    recipient: str
    """Name of a field of texts: who received data. Null or empty: the record discloses nothing."""
    at: str | None = None
    """Name of a field of times or dates: when it was disclosed. None: the records do not say when."""


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
    """Names of the fields that identify a record permanently (R30)."""
    subject_kinds: frozenset[SubjectKind] | None = None
    """A narrower set than the exporter's, if given."""
    documents: bool = False
    """Each record becomes one document, by the document formats of the export, and no row."""
    withheld: tuple[Withheld, ...] = ()
    """What the source stores beside these fields and does not deliver."""
    of_staff: bool = False
    """Whether records may belong to a member of a tenant's staff, by an identity of the kind STAFF_IDENTITY."""
    of_requests: bool = False
    """Whether its records are about the subject's requests for data, which this software stores itself.

    A request is stored for every subject, also for a mistyped one: such records prove neither that a source knows the
    subject nor that other data is stored.
    """
    disclosures: DisclosureFields | None = None
    """Which fields name recipients of the subject's data, such as those of a processing trail (GDPR Art. 15(1)(c))."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A half-open range of a dataset's records in their stable order, [begin, end); None means unbounded.

    Only its exporter can interpret a bound, as with a cursor. It is plain text: no NUL, no lone surrogates. It is a
    position in the order, not a record, and stays valid when records are added or deleted.
    """

    begin: str | None = None
    end: str | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a dataset that is requested. Times are aware UTC; `since` is inclusive, `until` exclusive."""

    slice: Slice | None = None
    """One of the slices that the same exporter offered for the same subject and dataset; None: the whole dataset."""
    since: datetime | None = None
    until: datetime | None = None
    began_at: datetime | None = None
    """Start of the export: rows with an immutable creation time after it are left out."""
    retention_cutoff: datetime | None = None
    """The retention period of a record is over if it began by this time; None: the register states no period.

    Such records are delivered, and marked with `RowRemark.PAST_RETENTION`.
    """
    keys: Sequence[tuple[JSON, ...]] | None = None
    """Only records with these keys, in the order of the dataset or not; given to a `ChangingExporter` alone."""


@dataclass(frozen=True, slots=True)
class File:
    """A binary file beside the records, streamed from any byte offset."""

    name: str
    """Relative to the dataset's folder, made of ids; the host makes it safe for a ZIP."""
    media_type: str
    size: int | None
    """The size in bytes that the source states; fewer bytes are a gap."""
    open: Callable[[int], Iterator[bytes]] = field(repr=False)
    """`open(offset)` yields blocks from that byte on; raises `SourceUnavailable` or `SourceRefused`.

    A file that is gone is `SourceRefused(..., reason="missing")`, and one in another version
    `SourceUnavailable(..., reason="changed")`.

    While one file of a batch is read, the next file may be opened in another thread.
    """
    etag: str | None = None
    """Version of the content: resuming with another version must raise `SourceUnavailable`."""
    sha256: str | None = None
    """SHA-256 of the whole content in lower-case hex, if the source knows it."""
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that is missing although it should be there. `what` names it by id, never by content."""

    what: str
    reason: str
    """A short code: `missing`, `truncated`, `changed`, `unreadable`, `source_unavailable`, `source_refused` ..."""
    retryable: bool = False
    key: tuple[str | int, ...] = ()
    """Values of the dataset's key fields, in their order: something of this record is missing. Empty: not known."""
    fields: tuple[str, ...] = ()
    """Names of the fields of that record that lack their value, also the name of a missing file; empty: not known."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A resumable sequence of records: reading after `cursor` gives the remaining records."""

    records: Sequence[Record]
    cursor: Cursor
    files: tuple[File, ...] = ()
    gaps: tuple[Gap, ...] = ()
    remarks: Mapping[RowRemark, Sequence[int]] = field(default_factory=dict)
    """Which records are remarkable, by their indexes in `records`."""
    withheld: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """For which records the source stores a value that is not delivered, by the names in `Dataset.withheld`.

    A name that is missing here is unknown: the archive then says that it may be stored.
    """


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a selection, for progress and planning; `bytes` includes files; None: unknown."""

    records: int
    bytes: int | None = None
    unrelated: int | None = None
    """How many of a tenant's records lead to no person; None: not counted. The ledger shows it."""
