from __future__ import annotations

import json

from hypothesis import given
from record_strategies import cuts, datasets_with_records, in_blocks

from formats.jsonl import format as json_lines
from portability.api import Dataset, Record


@given(datasets_with_records(), cuts())
def test_what_is_written_is_read_back(given_data: tuple[Dataset, list[Record]], sizes: list[int]) -> None:
    """Every record of every type comes back equal, wherever the blocks are cut."""
    dataset, records = given_data
    data = b"".join(json_lines.encode(dataset, records))
    assert list(json_lines.decode(dataset, in_blocks(data, sizes))) == records


@given(datasets_with_records())
def test_strangers_read_it(given_data: tuple[Dataset, list[Record]]) -> None:
    """Each line is an object that any JSON reader takes, big integers as strings."""
    dataset, records = given_data
    data = b"".join(json_lines.encode(dataset, records))
    lines = [json.loads(line) for line in data.decode().split("\n")[:-1]]
    safe = 2**53 - 1
    assert lines == [
        {k: str(v) if isinstance(v, int) and abs(v) > safe else v for k, v in record.items()} for record in records
    ]
