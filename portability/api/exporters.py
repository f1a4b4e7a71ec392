"""Protocols of exporters, and what the host gives them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from portability.api.coverage import CheckedDeclaration, Coverage
from portability.api.errors import BadSetting
from portability.api.nouns import JSON, Batch, Cursor, Dataset, Identity, IdentityUse, Selection, Size, Slice, Subject
from portability.api.shared import SharedState
from portability.api.tags import SubjectKind

if TYPE_CHECKING:
    from sqlalchemy import Engine


class FileStore(Protocol):
    """A store of recordings and attachments. Keys are relative and come from the source's own rows. Thread-safe."""

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        """Yield blocks of about 1 MiB from byte `offset` on; with `etag`, of that version only.

        Raises: SourceUnavailable (retry), SourceRefused (missing or forbidden), with a `reason` where it is known.
        """
        ...

    def stat(self, key: str) -> tuple[int, str] | None:
        """Return (size in bytes, etag), or None if the object does not exist."""
        ...


class Sources(Protocol):
    """What the host gives an exporter: connections by name, opened on first use, in the process that exports."""

    @property
    def database(self) -> Engine:
        """Return the platform's database (`PORTABILITY_SOURCE_URL`): for short read transactions only."""
        ...

    @property
    def files(self) -> FileStore:
        """Return the platform's recordings and attachments (`PORTABILITY_RECORDINGS_URL`)."""
        ...

    @property
    def control(self) -> Engine:
        """Return the control database of this software, read only: for the exporter of its own records."""
        ...

    @property
    def shared(self) -> SharedState:
        """Return what all workers share: rates of calls, and tokens that change while they are used."""
        ...

    @property
    def seconds(self) -> float:
        """Return the time limit of one call of an exporter (`PORTABILITY_SOURCE_SECONDS`)."""
        ...


@runtime_checkable
class ClosingSources(Protocol):
    """Sources that close what an exporter has opened itself: before a worker forks, and at the end.

    It has no other members, so that a check for it opens no connection.
    """

    def when_closed(self, close: Callable[[], None]) -> None:
        """Call `close` whenever connections are closed; what is needed later is opened on demand."""
        ...


@runtime_checkable
class Exporter(Protocol):
    """Reads one source. Entry point group `portability.exporters`: a factory `(sources: Sources) -> Exporter`.

    Contract: stable order; the same `after` gives the same remaining batches; JSON values only; nothing for an unknown
    subject; closing the generator early frees its resources; a fault is `SourceUnavailable` (retried) or
    `SourceRefused` (not retried). Every query filters by tenant and selects by verified identities.
    """

    @property
    def subject_kinds(self) -> frozenset[SubjectKind]: ...
    @property
    def datasets(self) -> Sequence[Dataset]: ...

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        """Yield batches of the dataset's records of this subject, after the given cursor."""
        ...


@runtime_checkable
class TitledExporter(Exporter, Protocol):
    """Optional: has a title, which archives and pages show to people instead of the name of the source."""

    @property
    def title(self) -> str:
        """Return what people call this part of their data, in English, such as `Phone calls`."""
        ...


@runtime_checkable
class CountingExporter(Exporter, Protocol):
    """Optional: counts the records in advance."""

    def count(self, subject: Subject, dataset: Dataset, selection: Selection) -> Size: ...


class PreparedCount(Protocol):
    """A count that can be asked for together with others."""

    @property
    def asked_of(self) -> Hashable:
        """Return what answers it, such as a database: counts of the same are asked for together."""
        ...

    def together(self, counts: Sequence[Any]) -> Sequence[Size]:
        """Return the sizes of these counts of the same source, itself among them. Raises as `export` does."""
        ...


@runtime_checkable
class JointlyCountingExporter(CountingExporter, Protocol):
    """Optional: counts datasets together with those of other exporters of the same source, which takes one request.

    If counts fail together, each dataset is counted by `count`: a fault of one costs no other.
    """

    def prepared_count(self, subject: Subject, dataset: Dataset, selection: Selection) -> PreparedCount | None:
        """Return the count of a dataset before it is asked for; None: only `count` counts it."""
        ...


@runtime_checkable
class SlicingExporter(Exporter, Protocol):
    """Optional: cuts a dataset into contiguous slices, which several machines read at the same time.

    Contract: 1 to `n` slices; the first has no begin and the last has no end; each other slice begins where the
    previous one ends; no slice is empty; the same data gives the same slices. Read in order they give the records and
    files of the whole dataset, in its order, each once; cursors and counts are valid within a slice. Slices of equal
    work are best (bytes of files, else records). For a selection that is a slice, return parts of that slice.
    """

    def slices(self, subject: Subject, dataset: Dataset, selection: Selection, n: int) -> Sequence[Slice]:
        """Return where to cut. If this raises or violates the contract, the host reads the dataset without slices."""
        ...


@runtime_checkable
class ResolvingExporter(Exporter, Protocol):
    """Optional: finds further identities of a subject from its verified identities.

    A fault costs the exporter's own datasets, and those that only these identities lead to: ADR 28.
    """

    def identities(self, subject: Subject) -> Sequence[Identity]: ...


@runtime_checkable
class KnowingExporter(Exporter, Protocol):
    """Optional: says whether its source knows a subject. A mistyped id must not be answered by "nothing is stored"."""

    def knows(self, subject: Subject) -> bool | None:
        """Return whether the source stores the identity that the request names; None: it cannot tell for this kind.

        Raises: SourceUnavailable, SourceRefused.
        """
        ...


@runtime_checkable
class DeclaringExporter(Exporter, Protocol):
    """Optional: declares by which identities it selects, so that its data stays complete when other exporters fail."""

    @property
    def identity_use(self) -> IdentityUse: ...


@runtime_checkable
class CheckingExporter(Exporter, Protocol):
    """Optional: compares what it declares with what its source has.

    An export is complete only if the last check of each such source found nothing undecided: ADR 61.
    """

    @property
    def declaration(self) -> CheckedDeclaration:
        """Return what it declares, without asking the source."""
        ...

    def check(self) -> Coverage:
        """Compare with the source, and try the query of each dataset without reading a row.

        Raises: SourceUnavailable, SourceRefused.
        """
        ...


@runtime_checkable
class KeyedExporter(Exporter, Protocol):
    """Optional: says which records its source still stores, for whomever: why a record is gone from a feed (ADR 82)."""

    def existing(self, dataset: Dataset, keys: Sequence[tuple[JSON, ...]]) -> Collection[tuple[JSON, ...]]:
        """Return those of the keys that the source stores; each has the values of `Dataset.key`, as in a record.

        Raises: SourceUnavailable, SourceRefused.
        """
        ...


@runtime_checkable
class PreparedExporter(Exporter, Protocol):
    """Optional: compares what it declares with its source, before a worker takes its first job."""

    def prepare(self) -> None:
        """Raise BadInput, with which no worker starts, if the declaration does not fit the source.

        Raises: SourceUnavailable, SourceRefused: the worker starts, and exports report the fault.
        """
        ...


ExporterFactory: TypeAlias = Callable[[Sources], Exporter]


@dataclass(frozen=True, slots=True)
class SourceDeclaration:
    """A section of the file that `PORTABILITY_SOURCES` names."""

    name: str
    """The exporter's name in archives, in the ledger and in `--include`."""
    kind: str
    keys: Mapping[str, object]
    """The section as TOML gives it, without `kind` and `trusts`, which belong to the host."""
    folder: Path
    """The folder of the file: relative paths in the section start here."""
    trusts: tuple[str, ...] | None = None
    """Sections whose identities this source accepts; None: the section does not say it."""
    file: Path | None = None
    """The file, for the lines in errors."""

    def texts(self, *known: str) -> Mapping[str, str]:
        """Return the values of a section whose values are all texts.

        Raises: BadSetting for a key that is not in `known`, or a value that is not a text.
        """
        if unknown := sorted(self.keys.keys() - set(known)):
            raise BadSetting(f"unknown key {unknown[0]!r}; valid keys: {', '.join(('kind', *known))}")
        if wrong := [key for key, value in self.keys.items() if not isinstance(value, str) or not value]:
            raise BadSetting(f"{wrong[0]} must be a text that is not empty")
        return {key: str(value) for key, value in self.keys.items()}


SourceKind: TypeAlias = Callable[[SourceDeclaration, Sources], Exporter]
"""Make the exporter of a section; raises BadSetting if it is invalid. Entry point group `portability.source_kinds`."""


@dataclass(frozen=True, slots=True)
class SourceMap:
    """The text of a map, and the name by which errors call it. It has no secrets and no personal data."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of its UTF-8, in lower-case hexadecimal."""
        return sha256(self.text.encode()).hexdigest()


@runtime_checkable
class MappedKind(Protocol):
    """A kind of source whose sections name a map: a TOML file that declares the datasets (docs/maps.md)."""

    def __call__(self, declared: SourceDeclaration, connections: Sources, /) -> Exporter: ...

    def source_map(self, declared: SourceDeclaration) -> SourceMap:
        """Read the map that a section names. Raises BadSetting, BadMap."""
        ...

    def reopen(self, declared: SourceDeclaration, source: SourceMap, connections: Sources) -> Exporter:
        """Make the exporter of a section by this map: an export keeps the map with which it was planned.

        Raises: BadSetting, BadMap.
        """
        ...

    def schema(self) -> Mapping[str, object]:
        """Return the JSON Schema of its maps (draft 2020-12)."""
        ...
