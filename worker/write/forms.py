"""Forms: copies of a volume's records for a purpose, such as a workbook, written beside its pieces (ADR 66).

A form gets a piece only when every format of pieces has accepted it and it is in the volume, redacted and scanned. Its
files wait in a spool and become the last members of the volume; they end with the volume, which a killed worker begins
again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, NamedTuple, cast

import structlog

from archive.parts import FORMS, REFUSED, Content
from archive.write.volume import Volume
from portability.api import Dataset, Record, WriterFormat
from portability.api.errors import FormatError
from portability.api.rows import Rows
from portability.locale import find, languages, text
from worker.write.temporary import NoTemporaryRoom

log = structlog.get_logger()

SPOOL_BYTES = 4 << 20
"""What a form has in memory; the rest is in an unnamed file of the folder for temporary files."""
BLOCK_BYTES = 1 << 20
PART_ROWS = 1_000


class VolumeForms:
    """The forms of one open volume."""

    def __init__(self, formats: Mapping[str, WriterFormat] | None = None) -> None:
        self._forms = [_OpenForm(name, form) for name, form in (formats or {}).items()]

    def __bool__(self) -> bool:
        return bool(self._forms)

    @property
    def bytes(self) -> int:
        """The bytes that wait to be written to the volume."""
        return sum(form.bytes for form in self._forms)

    @property
    def members(self) -> int:
        """The number of files that they become."""
        return sum(form.members for form in self._forms)

    def write(self, exporter: str, dataset: Dataset, batches: Iterable[Sequence[Record]]) -> None:
        """Give the records of a piece to every form. Raises NoTemporaryRoom."""
        for records in batches:
            for part in _parts(records):
                for form in self._forms:
                    form.write(exporter, dataset, part)

    def add_to(self, output: Volume) -> None:
        """Finish the forms and write their files to the volume."""
        for form in self._forms:
            form.add_to(output)

    def close(self) -> None:
        """Free what the forms hold. Safe to call twice."""
        for form in self._forms:
            form.release()


def _parts(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Yield a batch in small parts: their values need ten times the memory of their lines."""
    if isinstance(records, Rows):
        return records.parts(PART_ROWS)
    return (records[begin : begin + PART_ROWS] for begin in range(0, len(records), PART_ROWS))


def _sentences(losses: Mapping[str, int]) -> Iterator[bytes]:
    """Yield in each language what a form without any file leaves out."""
    for tag in languages():
        for code, count in losses.items():
            own = f"archive.readme.loss_{code}"
            known = own if find(tag, own) else "archive.readme.loss"
            yield f"{text(tag, known, code=code, count=count)}\n".encode()


class _OpenForm:
    def __init__(self, name: str, form: WriterFormat) -> None:
        self._name, self._form = name, form
        self._spool = _Spool()
        self._writer = form.open(self._spool)
        self._dataset: tuple[str, str] | None = None
        self._is_refused = False

    @property
    def bytes(self) -> int:
        return self._spool.size + self._writer.held

    @property
    def members(self) -> int:
        return max(len(self._spool.files), self._dataset is not None)

    def write(self, exporter: str, dataset: Dataset, records: Sequence[Record]) -> None:
        if self._is_refused:
            return
        with self._within_disk():
            try:
                if self._dataset != (exporter, dataset.name):
                    self._writer.begin(exporter, dataset)
                    self._dataset = (exporter, dataset.name)
                self._writer.write(records)
            except FormatError:
                self._refuse(f"{exporter}/{dataset.name}")

    def add_to(self, output: Volume) -> None:
        with self._within_disk():
            counted = {} if self._is_refused else self._writer.close()
        # A form may count what did not happen: the page would say it, with 0.
        losses = {REFUSED: 1} if self._is_refused else {code: count for code, count in counted.items() if count}
        for file in self._spool.files:
            content = Content(*FORMS, self._form.media_type, form=self._name, losses=losses)
            output.add(file.name, file.blocks(), content)
        if losses and not self._spool.files:
            content = Content(*FORMS, "text/plain", form=self._name, losses=losses)
            output.add(f"{self._name}-missing.txt", _sentences(losses), content)

    def release(self) -> None:
        self._writer.abort()
        self._spool.close()

    def _refuse(self, what: str) -> None:
        """Leave the form out of this volume: the formats of pieces hold every value, so nothing is missing."""
        log.warning("form.refused", form=self._name, dataset=what)
        self.release()
        self._is_refused = True

    @contextmanager
    def _within_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            seen = f"form {self._name}: its temporary file cannot be written: {error.strerror}"
            raise NoTemporaryRoom(seen) from error


class _SpooledFile(NamedTuple):
    name: str
    file: BinaryIO
    begin: int
    end: int

    def blocks(self) -> Iterator[bytes]:
        self.file.seek(self.begin)
        left = self.end - self.begin
        while left and (block := self.file.read(min(left, BLOCK_BYTES))):
            left -= len(block)
            yield block


class _Spool:
    """The sink of a form: one temporary file for all that it writes, and the files that it hands over."""

    def __init__(self) -> None:
        self._own = cast("BinaryIO", SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115  # the method close closes it
        self._files: list[_SpooledFile] = []
        self._own_size = 0

    @property
    def files(self) -> Sequence[_SpooledFile]:
        return self._files

    @property
    def size(self) -> int:
        return sum(file.end - file.begin for file in self._files if file.file is not self._own) + self._own_size

    def begin(self, name: str) -> None:
        self._files.append(_SpooledFile(name, self._own, self._own_size, self._own_size))

    def write(self, block: bytes, /) -> None:
        self._own.write(block)
        self._own_size += len(block)
        self._files[-1] = self._files[-1]._replace(end=self._own_size)

    def take(self, name: str, file: BinaryIO) -> None:
        self._files.append(_SpooledFile(name, file, 0, file.seek(0, os.SEEK_END)))

    def close(self) -> None:
        for file in {file.file for file in self._files} | {self._own}:
            file.close()
        self._files.clear()
        self._own_size = 0
