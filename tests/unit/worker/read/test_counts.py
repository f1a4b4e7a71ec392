"""What an export expects: counts of one source together, and each alone where that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from factories import MadeUpExporter, dataset

from portability.api import Dataset, Selection, Size, Subject, SubjectKind
from portability.api.errors import SourceRefused
from portability.api.nouns import first_identity
from portability.requests.states import DatasetState
from worker.plan.plan import PlanLine
from worker.read.counts import Expected, expect, expect_together

JANE = Subject(SubjectKind.USER, None, "sub_1", (first_identity(SubjectKind.USER, "usr_1", None),))


def planned(exporter: str, state: DatasetState = DatasetState.PENDING) -> PlanLine:
    return PlanLine(exporter, dataset(exporter), frozenset({"id", "text"}), JANE, state)


@dataclass
class Counting(MadeUpExporter):
    """Counts by a function of the test."""

    counts: Callable[[], Size] = field(default=lambda: Size(4))

    def count(self, _subject: Subject, _dataset: object, _selection: Selection) -> Size:
        return self.counts()


@dataclass(frozen=True)
class CountOfDatabase:
    """A count that is noted in the database's list when it is answered."""

    asked_of: str
    name: str
    answers: list[list[str]]
    broken: bool = False

    def together(self, counts: Sequence[CountOfDatabase]) -> Sequence[Size]:
        self.answers.append([one.name for one in counts])
        if any(one.broken for one in counts):
            raise SourceRefused("a table is gone")
        return [Size(len(one.name)) for one in counts]


@dataclass
class InDatabase(Counting):
    """An exporter of a database, which counts with others."""

    database: str = "db"
    answers: list[list[str]] = field(default_factory=list)
    fault: Exception | None = None
    broken: bool = False

    def prepared_count(self, _subject: Subject, declared: Dataset, _selection: Selection) -> CountOfDatabase:
        if self.fault:
            raise self.fault
        return CountOfDatabase(self.database, declared.name, self.answers, self.broken)


@pytest.mark.parametrize(
    ("size", "state", "expected"),
    [
        (Size(4), DatasetState.PENDING, Expected(4, None, None)),
        (Size(4, bytes=100, unrelated=2), DatasetState.PENDING, Expected(4, 100, 2)),
        (Size(4, unrelated=0), DatasetState.PENDING, Expected(4, None, 0)),
        (Size(4), DatasetState.NEEDS_INSTRUCTION, Expected(0, 0)),
        (SourceRefused("no"), DatasetState.PENDING, Expected()),
    ],
)
def test_what_cannot_be_counted_is_unknown(size: Any, state: DatasetState, expected: Expected) -> None:
    """Bytes may be unknown beside a number of records; nothing is expected of what is not read."""

    def counts() -> Size:
        if isinstance(size, Exception):
            raise size
        counted: Size = size
        return counted

    assert expect(Counting([], counts=counts), planned("made", state), Selection()) == expected
    unknown = Expected(0, 0) if state is DatasetState.NEEDS_INSTRUCTION else Expected()
    assert expect(MadeUpExporter([]), planned("made", state), Selection()) == unknown


def test_counts_of_one_source_are_one_request() -> None:
    """Two exporters of one database are asked once, that of another database for itself; others count alone."""
    answers: list[list[str]] = []
    exporters = {
        "aa": InDatabase([], answers=answers),
        "bbb": InDatabase([], answers=answers),
        "cccc": InDatabase([], database="other", answers=answers),
        "alone": Counting([]),
    }
    lines = {place: planned(name) for place, name in enumerate(exporters, 3)}
    found = expect_together(exporters, lines, Selection())
    assert found == {3: Expected(2), 4: Expected(3), 5: Expected(4)}
    assert answers == [["aa", "bbb"], ["cccc"]]


def test_a_fault_leaves_the_counts_of_its_source_to_each_alone() -> None:
    """A broken table of one exporter costs the others of its database nothing: they are counted one by one."""
    exporters = {
        "aa": InDatabase([]),
        "bbb": InDatabase([], broken=True),
        "cccc": InDatabase([], database="other"),
        "ddddd": InDatabase([], database="other", fault=SourceRefused("no")),
    }
    lines = {place: planned(name) for place, name in enumerate(exporters)}
    found = expect_together(exporters, lines, Selection())
    assert found == {2: Expected(4)}
    assert expect(exporters["aa"], lines[0], Selection()) == Expected(4)


def test_a_wrong_number_of_sizes_counts_nothing() -> None:
    """It is unclear which count each size is, so each dataset is counted alone."""

    class TooFew(CountOfDatabase):
        """Answers the first only."""

        def together(self, counts: Sequence[CountOfDatabase]) -> Sequence[Size]:
            return super().together(counts)[:1]

    class Lossy(InDatabase):
        """Its counts are lossy."""

        def prepared_count(self, _subject: Subject, declared: Dataset, _selection: Selection) -> CountOfDatabase:
            return TooFew("db", declared.name, [])

    lossy = Lossy([])
    assert expect_together({"aa": lossy, "bb": lossy}, {0: planned("aa"), 1: planned("bb")}, Selection()) == {}
