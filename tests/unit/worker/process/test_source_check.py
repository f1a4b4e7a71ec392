"""The doctor's reading of sources: which faults it names, and how often it asks."""

from __future__ import annotations

import pytest
from factories import MadeUpExporter, dataset, things

from portability.api.errors import SourceRefused, SourceUnavailable
from worker.process.source_check import refusals
from worker.read.reader import SourcePatience


@pytest.mark.parametrize(
    ("error", "code", "datasets"),
    [
        (SourceUnavailable("made: it is away"), "source_unavailable", ["ill/things"]),
        (SourceRefused("made: no right"), "source_refused", ["ill/things", "ill/others"]),
        (ZeroDivisionError("secret"), "exporter_fault", ["ill/things", "ill/others"]),
    ],
)
def test_each_fault_of_a_source_is_named(error: Exception, code: str, datasets: list[str]) -> None:
    """By dataset and code, without the text of an unknown exception; a source that does not answer is asked once."""
    asked: list[int] = []

    def fail(batch: int) -> None:
        asked.append(batch)
        raise error

    both = (dataset(), dataset("others"))
    exporters = {
        "well": MadeUpExporter(things(1), datasets=both),
        "ill": MadeUpExporter(things(1), datasets=both, on_batch=fail),
    }
    found = refusals(exporters, SourcePatience(retries=0, seconds=10))
    assert {name: fault.code for name, fault in found.items()} == dict.fromkeys(datasets, code)
    assert len(asked) == len(datasets)
    assert not [fault for fault in found.values() if "secret" in str(fault)]
