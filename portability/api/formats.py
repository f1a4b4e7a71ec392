"""Protocols of formats: records to bytes, and records to documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from portability.api.nouns import Dataset, Record


@runtime_checkable
class Format(Protocol):
    """Turns records into bytes. Entry point group `portability.formats`: the object itself.

    The host calls it for each piece of a dataset, when all records of the piece are known. A format that can take each
    batch as it arrives is a `WriterFormat` instead, and needs less memory.

    The host shares one object between all datasets and threads, and it may run several `encode` at the same time.
    """

    @property
    def suffix(self) -> str:
        """The end of a member's name, with its dot: `.jsonl`. Two formats of one export need different suffixes."""
        ...

    @property
    def media_type(self) -> str:
        """The media type of a member: `application/jsonl`."""
        ...

    def encode(self, dataset: Dataset, records: Iterable[Record]) -> Iterator[bytes]:
        """Write one whole member, in blocks of at least 256 KiB (except the last block).

        The bytes depend on the dataset and its records only: the host encodes records again if a format refused one
        of them. An empty sequence of records gives a valid, empty document. A field that a record lacks is NULL.

        Args:
            dataset: what is written; its fields are the columns, in their order.
            records: iterate over it once. The host gives a `Batched`, whose batches may be `Rows`: a format may read
                them by column. A format that does not know these types reads records like any other.

        Raises:
            FormatError: the format cannot represent a value without loss, or the dataset does not declare a field
                (`RecordChecker` finds both).
        """
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """One file made of one record."""

    name: str
    body: bytes = field(repr=False)


@runtime_checkable
class DocumentFormat(Protocol):
    """The second kind of format: one file for each record, for datasets with `documents` that the format knows."""

    @property
    def suffix(self) -> str:
        """The end of each document's name, with its dot: `.vcon.json`."""
        ...

    @property
    def media_type(self) -> str:
        """The media type of each document."""
        ...

    def documents(self, dataset: Dataset, record: Record) -> Iterator[Document]:
        """Make the documents of one record, with names made of ids; none if the format does not know the dataset.

        Raises: FormatError for a record that the format cannot represent; it becomes a gap.
        """
        ...
