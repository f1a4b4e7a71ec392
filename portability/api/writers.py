"""Writers: formats that take records as they arrive, and the unit of what they write into one file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import BinaryIO, Protocol, runtime_checkable

from portability.api.formats import Format
from portability.api.nouns import Dataset, Record
from portability.api.rows import Batched


class Unit(StrEnum):
    """How much goes into one file."""

    RECORD = "record"
    """One file for each record that the format knows; the files end with the volume."""
    PIECE = "piece"
    """A bounded part of one dataset: a lossless copy of its records."""
    VOLUME = "volume"
    """All datasets of a volume that the format knows; in an export of one volume, the whole export."""


class Sink(Protocol):
    """Where a writer puts its bytes. A writer of pieces only calls `write`: the host names its file."""

    def begin(self, name: str) -> None:
        """Begin a file; what is written next belongs to it. Its name is made of ids and fixed words."""
        ...

    def write(self, block: bytes, /) -> object:
        """Append a block to the file."""
        ...

    def take(self, name: str, file: BinaryIO) -> None:
        """Take over a whole file that the writer needed for itself, such as a database; the host closes it."""
        ...


class FormatWriter(Protocol):
    """Writes the files of one unit. The host drops each batch after it gave it to every writer."""

    @property
    def held(self) -> int:
        """The bytes that it has and its sink does not have yet, in memory or in a file of its own."""
        ...

    def begin(self, exporter: str, dataset: Dataset) -> None:
        """Expect records of a dataset; its fields are the columns, in their order. A dataset may come again."""
        ...

    def write(self, records: Sequence[Record]) -> None:
        """Write records of the dataset; a batch may be `Rows`. A field that a record lacks is NULL.

        Raises:
            FormatError: as `Format.encode` does. A form of a volume cuts what it cannot hold, and counts it.
        """
        ...

    def close(self) -> Mapping[str, int]:
        """Write the rest; returns how often something is not as in the records, by a code such as `cells_cut`."""
        ...

    def abort(self) -> None:
        """Give up and free everything; nothing is written. Safe to call twice, and after `close`."""
        ...


@runtime_checkable
class WriterFormat(Protocol):
    """A format whose writer takes batches as they arrive. Entry point group `portability.formats`: the object itself.

    A unit larger than a piece makes it a form: a copy for a purpose, beside formats that hold every value. The host
    shares one object between all exports and threads, and it may have several writers open at the same time.
    """

    @property
    def suffix(self) -> str:
        """The end of the names of its files, with its dot: `.xlsx`."""
        ...

    @property
    def media_type(self) -> str:
        """The media type of its files."""
        ...

    @property
    def unit(self) -> Unit:
        """How much goes into one file."""
        ...

    def open(self, out: Sink) -> FormatWriter:
        """Begin the files of one unit. The same datasets and records give the same bytes, in batches of any size."""
        ...


class BlockSink:
    """The sink of one piece: a list of blocks."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.bytes = 0

    def begin(self, name: str) -> None:
        """Do nothing: the host names the file of a piece."""

    def write(self, block: bytes, /) -> None:
        """Append a block."""
        self.blocks.append(block)
        self.bytes += len(block)

    def take(self, name: str, file: BinaryIO) -> None:  # noqa: ARG002  # the host names the file of a piece
        """Read the file into memory, as all blocks of a piece are."""
        with file:
            self.write(file.read())


def encoded(form: Format | WriterFormat, dataset: Dataset, records: Iterable[Record]) -> Iterator[bytes]:
    """Yield a piece in blocks, with each block of a writer as soon as it is there. Raises: FormatError."""
    if not isinstance(form, WriterFormat):
        yield from form.encode(dataset, records)
        return
    out = BlockSink()
    writer = form.open(out)
    writer.begin("", dataset)
    for batch in records.batches() if isinstance(records, Batched) else _batches(records):
        writer.write(batch)
        yield from out.blocks
        out.blocks.clear()
    writer.close()
    yield from out.blocks


def _batches(records: Iterable[Record]) -> Iterator[Sequence[Record]]:
    if isinstance(records, Sequence):
        yield records
    else:
        for record in records:
            yield [record]
