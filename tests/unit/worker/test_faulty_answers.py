"""What a source answers to optional questions may be anything: it costs an export nothing but what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import feeding
import pytest
from archives import export_json
from factories import KINDS, MadeUpExporter, dataset, things, world

from portability.api import (
    Batch,
    ChangeMode,
    CheckedDeclaration,
    Coverage,
    CoverageFinding,
    CoverageKind,
    Cursor,
    Dataset,
    DeclaredChanges,
    Selection,
    Size,
    Slice,
    Subject,
)
from portability.api.errors import SourceRefused
from portability.coverage import checks
from worker.read import coverage

pytestmark = pytest.mark.slow

WHOLE = 300
"""Records of each source: with SIZE they are cut into slices."""
SIZE = Size(1000)


class FaultySource:
    """A source that answers one question in a way that no contract allows, and all others as they should be."""

    subject_kinds = KINDS

    def __init__(self, name: str, question: str = "", answer: Callable[[], Any] = lambda: None) -> None:
        self.datasets = (dataset(name),)
        self._whole = MadeUpExporter(things(WHOLE), batch_records=100, datasets=self.datasets)
        self._question, self._answer = question, answer

    def _say(self, question: str, usual: object) -> Any:
        return self._answer() if question == self._question else usual

    def export(
        self, subject: Subject, of: Dataset, selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        yield from self._whole.export(subject, of, selection, after=after)

    def count(self, *_asked: object) -> Any:
        return self._say("count", SIZE)

    def slices(self, *_asked: object) -> Any:
        return self._say("slices", (Slice(),))

    def identities(self, _subject: Subject) -> Any:
        return self._say("identities", ())

    def knows(self, _subject: Subject) -> Any:
        return self._say("knows", True)

    def check(self) -> Any:
        return self._say("check", Coverage())

    @property
    def declaration(self) -> Any:
        return self._say("declaration", CheckedDeclaration("1" * 64))

    @property
    def changes(self) -> Any:
        (one,) = self.datasets
        return self._say("changes", DeclaredChanges(ChangeMode.OUTBOX, frozenset({one.name}), 30))

    def horizon(self) -> Any:
        return self._say("horizon", 1)

    def changed(self, *_asked: object) -> Any:
        return self._say("changed", [(f"thing_{WHOLE - 1}",)])

    def existing(self, *_asked: object) -> Any:
        return self._say("existing", ())


@dataclass
class Unprintable:
    """No value of JSON."""

    text: str = ""


def fails_with(error: BaseException) -> Callable[[], Any]:
    def does() -> None:
        raise error

    return does


ANSWERS: dict[str, Callable[[], Any]] = {
    "refuses": fails_with(SourceRefused("no")),
    "raises": fails_with(ValueError("no")),
    "exits": fails_with(SystemExit(1)),
    "nothing": lambda: None,
    "number": lambda: 7,
    "object": Unprintable,
    "lists": lambda: [["a"], [Unprintable()]],
    "surrogate": lambda: {"a\0": "\ud800"},
    "huge": lambda: Size(10**30, 10**30),
    "negative": lambda: Size(-1, -1),
    "bounds": lambda: [Slice("a\0", "\ud800")],
    "finding": lambda: Coverage((CoverageFinding(CoverageKind.UNFIT, "\0", "\ud800", columns=10**30),)),
}


def faulty_sources(*questions: str) -> Iterator[tuple[str, FaultySource]]:
    """A good source, and one for each question and answer."""
    yield "good", FaultySource("good")
    for question in questions:
        yield from (
            (f"{question}_{name}", FaultySource(f"{question}_{name}", question, ANSWERS[name])) for name in ANSWERS
        )


def test_an_answer_that_no_contract_allows_fails_no_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One such answer ended the export, or the process: each record is delivered.

    A source whose answer about identities is not known gives its own datasets later.
    """
    exporters = dict(faulty_sources("count", "slices", "identities", "knows", "check", "declaration"))
    monkeypatch.setattr(coverage, "declared_names", lambda _settings: list(exporters))
    made = world(tmp_path, exporters, slice_bytes=65_536, source_retries=0)
    identifier = made.request()
    made.advance_all()
    paths = made.fetch(identifier)
    document = export_json(paths)

    assert made.view(identifier)["state"] == "ready"
    assert made.verify(paths).ok
    records = {line["dataset"]: line["records"] for line in document["datasets"]}
    assert {name for name in records if not name.startswith("identities")} >= {"good", "count_exits", "slices_lists"}
    assert {count for name, count in records.items() if not name.startswith("identities")} == {WHOLE}
    assert {gap["exporter"] for gap in document["gaps"]} >= {"identities_raises", "declaration_exits", "check_object"}


def test_such_an_answer_about_changes_fails_no_archive_of_a_feed(tmp_path: Path) -> None:
    """Everything is compared by hashes then, and the archive has what has changed."""
    for question in ("changes", "horizon", "changed", "existing"):
        exporters = dict(faulty_sources(question))
        made = world(tmp_path / question, exporters, source_retries=0)
        feed = feeding.begin(made)
        feed.next()
        exporters["good"]._whole.records = things(WHOLE - 1)
        (tombstone,) = feeding.tombstones(feed.next())
        assert tombstone["key"] == {"id": f"thing_{WHOLE - 1}"}, question


def test_what_a_check_finds_can_be_stored() -> None:
    """Names of columns may come from what an HTTP source answers: PostgreSQL stores neither NUL nor lone surrogates."""
    found = checks.check("shop", {"shop": FaultySource("shop", "check", ANSWERS["finding"])}).coverage.findings
    assert [(one.table, one.column, one.columns) for one in found] == [("?", "?", checks.COLUMNS_MAX)]


def test_the_declaration_of_one_source_costs_the_check_of_no_other() -> None:
    """Declarations of one database decide on its tables together, so each check looks at all of them."""
    good = FaultySource("good", "declaration", lambda: CheckedDeclaration("1" * 64, "postgresql://shop"))
    bad = FaultySource("bad", "declaration", ANSWERS["refuses"])
    assert checks.check("good", {"good": good, "bad": bad}).coverage == Coverage()
