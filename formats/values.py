"""Shared by the formats: packs records into blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import orjson

from portability.api import JSON, Dataset, Field, Record, RecordChecker
from portability.api.errors import FormatError
from portability.api.rows import Batched, Rows

BLOCK_BYTES = 256 << 10


def encode_records(
    dataset: Dataset,
    records: Iterable[Record],
    line: Callable[[Sequence[JSON]], bytes],
    *,
    whole: Callable[[Rows], bytes] | None = None,
    head: bytes = b"",
) -> Iterator[bytes]:
    """Yield blocks of at least BLOCK_BYTES, except the last; `line` gets a record's values in declared order.

    `whole` gets rows with all declared fields in order, whose types their source has checked.

    Raises: FormatError for a value that does not fit its field; it names dataset, field and record, not the value.
    """
    checker = RecordChecker(dataset)
    block = bytearray(head)
    for batch in records.batches() if isinstance(records, Batched) else [records]:
        if whole is not None and isinstance(batch, Rows) and checker.knows(batch):
            checker.count += len(batch)
            text = whole(batch)
            if not block and len(text) >= BLOCK_BYTES:
                yield text  # without a copy, which would cost as much as hashing
            else:
                block += text
        else:
            for record in batch:
                block += line(checker.values(record))
                if len(block) >= BLOCK_BYTES:
                    yield bytes(block)
                    block.clear()
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def dataset_names(dataset: Dataset) -> frozenset[str]:
    """Return the names of the declared fields."""
    return frozenset(field.name for field in dataset.fields)


def malformed(dataset: Dataset, number: int, fault: str, field: Field | None = None) -> FormatError:
    """Return the error for bytes that are not a valid document."""
    where = f"{dataset.name}.{field.name}" if field else dataset.name
    return FormatError(
        f"{where}, record {number}: {fault}", hint="the file was changed or cut, or belongs to another dataset"
    )


def json_text(value: JSON) -> bytes:
    """Return a checked value as JSON."""
    return orjson.dumps(value)
