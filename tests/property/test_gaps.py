"""Random faults of values, files and sources, then retries: complete says exactly that nothing is missing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from archives import export_json
from examples import examples
from factories import World, world
from gap_sources import LackingSource, delivered_records, lacks_nothing, source_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portability.database.engine import writing
from portability.errors import WrongState
from portability.requests import retries

COUNT = 8
NUMBERS = st.sets(st.integers(0, COUNT - 1), max_size=3)
FAULTS = st.fixed_dictionaries(
    {
        "no_text": NUMBERS.map(lambda numbers: {f"thing_{n}" for n in numbers}),
        "no_file": NUMBERS.map(lambda numbers: {f"{n}.wav" for n in numbers}),
        "broken": NUMBERS.map(lambda numbers: {f"{n}.wav" for n in numbers}),
        "dies_at": st.none() | st.integers(0, COUNT),
    }
)


@settings(max_examples=examples(10), suppress_health_check=[HealthCheck.too_slow])
@given(
    faults=st.lists(FAULTS, min_size=1, max_size=4),
    is_repaired=st.booleans(),
    batch_records=st.lists(st.integers(1, COUNT), min_size=5, max_size=5),
    names_records=st.booleans(),
    has_small_volumes=st.booleans(),
)
def test_complete_says_that_everything_is_in_the_archive(
    faults: list[dict[str, Any]],
    is_repaired: bool,
    batch_records: list[int],
    names_records: bool,
    has_small_volumes: bool,
) -> None:
    """Whatever fails at first and at each retry: complete if and only if every value and file of the source is there.

    Batches may be cut elsewhere at a retry if gaps name their records. After a repair, one retry gives everything.
    """
    source = source_of(COUNT, 30_000 if has_small_volumes else 50, names_records=names_records)
    limits: dict[str, Any] = {"volume_bytes": 65_536} if has_small_volumes else {}
    with tempfile.TemporaryDirectory() as folder:
        made = world(Path(folder), {"made": source}, source_retries=0, **limits)
        identifier = made.request()
        for fault, size in zip(faults, batch_records, strict=False):
            fail(source, **fault, batch_records=size if names_records else batch_records[0])
            go_on(made, identifier)
            judge(made, identifier, source)
        if is_repaired:
            source.repair()
            source.batch_records = batch_records[0] if not names_records else batch_records[-1]
            go_on(made, identifier)
            judge(made, identifier, source)
            assert made.view(identifier)["complete"] is True


def fail(source: LackingSource, **fault: Any) -> None:
    """Give the source these faults, and no others."""
    for name, value in fault.items():
        setattr(source, name, value)


def go_on(made: World, identifier: str) -> None:
    """Read for the first time, or retry what is missing."""
    if not made.is_open(identifier):
        try:
            with writing(made.engine) as connection:
                retries.retry_gaps(connection, identifier, actor="operator:test")
        except WrongState:
            return
    made.advance_all()


def judge(made: World, identifier: str, source: LackingSource) -> None:
    """Compare what the archive says with what is in it, read by another program."""
    paths = made.fetch(identifier)
    document = export_json(paths)
    assert made.verify(paths).ok
    is_whole = lacks_nothing(paths, source)
    assert document["complete"] == is_whole
    assert document["complete"] or document["gaps"], "not complete, and nothing is named"
    (line,) = document["datasets"]
    assert line["records"] == len(delivered_records(paths))
    assert line["gaps"] == len(document["gaps"])
    assert document["complete"] == made.view(identifier)["complete"]
