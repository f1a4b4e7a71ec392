"""A source with an HTTP interface behind a proxy that breaks requests, and readings that go on behind each fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from http_faults import Break, HttpFaults, HttpRequest, Rule

from portability.api import Exporter, Record, Selection, Subject
from portability.api.errors import SourceRefused

ALL = Selection()
FAULTS = (Break.LIMIT, Break.REFUSE, Break.CUT_ANSWER, Break.UNAUTHORIZED)
"""429, 503, a cut stream and 401."""


def break_each(proxy: HttpFaults, fits: Callable[[HttpRequest], bool] = lambda _request: True) -> Sequence[Rule]:
    """Break the next requests that fit, each in another way; returns the rules, which count."""
    rules = [Rule(how, fits) for how in FAULTS]
    proxy.rules.extend(rules)
    return rules


def read_through(exporter: Exporter, subject: Subject) -> Mapping[str, Sequence[Record]]:
    """All records by dataset, sorted by their ids; a reading that is refused goes on behind its last cursor."""
    found: dict[str, Sequence[Record]] = {}
    for dataset in exporter.datasets:
        records: list[Record] = []
        after = None
        for _ in range(2):
            try:
                for batch in exporter.export(subject, dataset, ALL, after=after):
                    records += batch.records
                    after = batch.cursor
            except SourceRefused:
                continue
            break
        else:
            raise AssertionError(f"{dataset.name} is refused twice")
        found[dataset.name] = sorted(records, key=lambda record: str(record["id"]))
    return found
