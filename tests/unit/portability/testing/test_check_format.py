from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from portability.api import Dataset, Document, Field, FieldType, FormatError, Provenance, Record, RecordChecker, Role
from portability.testing import check_document_format, check_format

KEY = Field("id", FieldType.STRING, "Identifier.", Provenance.OBSERVED)
LETTERS = Dataset(
    "letters", "Letters", "Letters.", (KEY,), Provenance.OBSERVED, Role.CONTROLLER, ("id",), documents=True
)
RUNS = itertools.count()
BLOCK_BYTES = 256 << 10


def as_line(values: dict[str, Any]) -> str:
    return json.dumps(values, allow_nan=False)


@dataclass
class TextLines:
    """A format of JSON lines; each test breaks one rule of the contract."""

    suffix: Any = ".lines"
    media_type: Any = "application/jsonl"
    line: Callable[[dict[str, Any]], str] = as_line
    head: Callable[[], str] = str
    block_bytes: int = BLOCK_BYTES
    fits: Callable[[Dataset, int, Record], Record] | None = None
    refuses: Callable[[FormatError], Exception] | None = None
    block_of: Callable[[bytearray], Any] = bytes

    def encode(self, dataset: Dataset, records: Iterable[Record]) -> Iterator[bytes]:
        checker = RecordChecker(dataset)
        block = bytearray(self.head().encode())
        for number, record in enumerate(records, 1):
            block += (self.line(self._values(checker, dataset, number, record)) + "\n").encode()
            if len(block) >= self.block_bytes:
                yield self.block_of(block)
                block.clear()
        if block:
            yield self.block_of(block)

    def _values(self, checker: RecordChecker, dataset: Dataset, number: int, record: Record) -> dict[str, Any]:
        names = [field.name for field in dataset.fields]
        if self.fits is not None:
            record = self.fits(dataset, number, record)
        try:
            return dict(zip(names, checker.values(record), strict=True))
        except FormatError as error:
            if self.refuses is None:
                raise
            raise self.refuses(error) from None


def decode(dataset: Dataset, data: bytes) -> Iterator[Record]:
    del dataset
    yield from map(json.loads, data.splitlines())


def without_undeclared(dataset: Dataset, _number: int, record: Record) -> Record:
    return {field.name: record.get(field.name) for field in dataset.fields}


def with_booleans_as_integers(_dataset: Dataset, _number: int, record: Record) -> Record:
    boolean = record.get("boolean")
    return {**record, "boolean": bool(boolean)} if isinstance(boolean, int) else record


@pytest.mark.slow
def test_a_sound_format_passes() -> None:
    """A format that keeps its promises passes, with and without a way to read it back; it may give all at once."""
    check_format(TextLines())
    check_format(TextLines(block_bytes=1 << 60), decode=decode)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (object(), "object lacks a member of the protocol Format"),
        (TextLines(suffix="lines"), "suffix"),
        (TextLines(suffix="./lines"), "suffix"),
        (TextLines(suffix=None), "suffix"),
        (TextLines(media_type="lines"), "media type"),
        (TextLines(head=lambda: str(next(RUNS))), "a list and an iterator differ"),
        (TextLines(line=lambda _values: ""), "NULL|number of records|different values|the order"),
        (TextLines(block_bytes=1000), "smaller than 256 KiB"),
        (TextLines(block_of=bytearray), "not bytes"),
        (TextLines(block_of=bytearray.decode), "not bytes"),
        (TextLines(line=lambda values: as_line(values).lower()), "type string give the same bytes"),
        (TextLines(line=lambda values: as_line({n: v or None for n, v in values.items()})), "give the same bytes"),
        (TextLines(fits=without_undeclared), "not declared: it is written"),
        (TextLines(fits=with_booleans_as_integers), "boolean is int, which is not allowed: it is written"),
        (TextLines(refuses=lambda _error: ValueError("no")), "raises ValueError instead of FormatError"),
        (TextLines(refuses=lambda _error: FormatError("no")), "must begin with 'things.string, record 2: '"),
        (TextLines(refuses=lambda error: FormatError(f"{error} canary")), "contains the value"),
    ],
)
def test_a_contract_violation_is_found(broken: Any, promise: str) -> None:
    """The error says which promise is broken."""
    with pytest.raises(AssertionError, match=promise):
        check_format(broken)


def test_an_error_that_shows_the_value_below_it_is_found() -> None:
    """A traceback prints the context of an error, which may hold the value."""

    class Chained(TextLines):
        def encode(self, dataset: Dataset, records: Iterable[Record]) -> Iterator[bytes]:
            try:
                yield from super().encode(dataset, records)
            except FormatError as error:
                raise FormatError(str(error))  # noqa: B904  # the fault on purpose

    with pytest.raises(AssertionError, match="from None"):
        check_format(Chained())


def test_documents_that_share_state_are_found() -> None:
    """The host may write two documents with one format at the same time."""

    class Sharing(TextLines):
        def encode(self, dataset: Dataset, records: Iterable[Record]) -> Iterator[bytes]:
            self.count = 0
            for block in super().encode(dataset, records):
                self.count += 1
                yield block + b"%d" % self.count

    with pytest.raises(AssertionError, match="at the same time get mixed"):
        check_format(Sharing())


@pytest.mark.slow
def test_what_reads_back_otherwise_is_found() -> None:
    """With a way to read a document back, each value must be what it was."""
    rounded = TextLines(line=lambda values: as_line({**values, "number": str(values.get("number"))}))
    with pytest.raises(AssertionError, match="gives something else"):
        check_format(rounded, decode=decode)


@dataclass
class LetterDocuments:
    """A format of documents; each test breaks one rule of the contract."""

    suffix: str = ".letter.txt"
    media_type: str = "text/plain"
    name_of: Callable[[str], str] = str
    body_of: Callable[[str], Any] = str.encode
    knows: Callable[[Dataset], bool] = lambda dataset: dataset.name == "letters"
    refuses: Callable[[FormatError], Exception] = lambda error: error

    def documents(self, dataset: Dataset, record: Record) -> Iterator[Document]:
        if not self.knows(dataset):
            return
        try:
            identifier = str(RecordChecker(dataset).values(record)[0])
        except FormatError as error:
            raise self.refuses(error) from None
        yield Document(f"{self.name_of(identifier)}{self.suffix}", self.body_of(identifier))


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (TextLines(), "TextLines lacks a member of the protocol DocumentFormat"),
        (LetterDocuments(suffix="txt"), "suffix"),
        (LetterDocuments(media_type="text"), "media type"),
        (LetterDocuments(knows=lambda _dataset: True), "a dataset that it does not know"),
        (LetterDocuments(knows=lambda _dataset: False), "gives no document"),
        (LetterDocuments(name_of=lambda _identifier: "letter"), "two documents have the same name"),
        (LetterDocuments(name_of=lambda identifier: f"../{identifier}"), "must consist of A-Z"),
        (LetterDocuments(body_of=lambda _identifier: b""), "empty"),
        (LetterDocuments(body_of=lambda identifier: f"{identifier}{next(RUNS)}".encode()), "differ between two runs"),
        (LetterDocuments(refuses=lambda _error: ValueError("no")), "raises ValueError instead of FormatError"),
        (LetterDocuments(refuses=lambda error: FormatError(f"{error}: canary")), "contains the value"),
    ],
)
def test_a_contract_violation_of_documents_is_found(broken: Any, promise: str) -> None:
    """The error says which promise is broken; a sound format passes."""
    check_document_format(LetterDocuments(), LETTERS, [{"id": "a"}, {"id": "b"}])
    with pytest.raises(AssertionError, match=promise):
        check_document_format(broken, LETTERS, [{"id": "a"}, {"id": "b"}])
