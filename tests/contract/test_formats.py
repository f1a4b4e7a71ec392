"""The contract of every registered format of records: the public suite, and what only the built-in formats can do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import pytest

from portability.api import Dataset, Format, Record, Unit, WriterFormat
from portability.plugins import FORMATS, find, load_formats
from portability.testing import check_format
from portability.testing.formats import SAMPLE, VALUES

NAMES = [name for name, plugin in find(FORMATS).items() if isinstance(plugin.load(), Format)]


class DecodingFormat(Format, Protocol):
    """A format that reads its documents back, as the built-in formats do."""

    def decode(self, dataset: Dataset, data: bytes | Iterable[bytes]) -> Iterator[Record]: ...


@pytest.fixture(params=NAMES)
def built_in(request: pytest.FixtureRequest) -> DecodingFormat:
    form: DecodingFormat = load_formats([request.param])[request.param]  # type: ignore[assignment]  # all of them decode
    return form


def test_the_built_in_formats_are_registered() -> None:
    """JSON Lines and CSV enter by the same door as a stranger's."""
    assert {"jsonl", "csv"} <= set(NAMES)


def test_keeps_all_promises(built_in: DecodingFormat) -> None:
    """Every built-in format passes the public suite, takes batches as they arrive, and reads every value back."""
    check_format(built_in, decode=built_in.decode)
    assert isinstance(built_in, WriterFormat)
    assert built_in.unit is Unit.PIECE


def test_documents_are_cut_anywhere(built_in: DecodingFormat) -> None:
    """Decoding takes blocks of any size: here single bytes."""
    data = b"".join(built_in.encode(SAMPLE, [VALUES, VALUES]))
    assert list(built_in.decode(SAMPLE, (data[n : n + 1] for n in range(len(data))))) == [VALUES, VALUES]


def test_large_documents_come_in_blocks(built_in: DecodingFormat) -> None:
    """A document of some megabytes has several blocks."""
    assert len(list(built_in.encode(SAMPLE, [VALUES] * 5000))) > 2
