from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from portability.api import (
    Batch,
    CheckedDeclaration,
    Coverage,
    CoverageFinding,
    CoverageKind,
    Dataset,
    Field,
    FieldType,
    File,
    Gap,
    Identity,
    Provenance,
    Record,
    Role,
    Selection,
    Size,
    Subject,
    SubjectKind,
    Withheld,
)
from portability.testing import check_exporter, sample_subject

KEY = Field("id", FieldType.STRING, "Identifier.", Provenance.OBSERVED)
TEXT = Field("text", FieldType.STRING, "What was written.", Provenance.OBSERVED)
WHEN = Field("at", FieldType.DATETIME, "When, in UTC.", Provenance.OBSERVED)
NOTES = Dataset("notes", "Notes", "Notes.", (KEY, TEXT, WHEN), Provenance.OBSERVED, Role.CONTROLLER, ("id",))
ROWS: tuple[Record, ...] = tuple(
    {"id": str(number), "text": f"note {number}", "at": "2026-01-01T00:00:00.000000Z"} for number in range(5)
)
USER = sample_subject(SubjectKind.USER, "usr_1")


def owner(subject: Subject) -> bool:
    return "usr_1" in subject.verified("user_id")


@dataclass
class Notes:
    """An exporter of notes in memory; each test breaks one rule of the contract."""

    rows: Sequence[Record] = ROWS
    dataset: Dataset = NOTES
    knows: Callable[[Subject], bool] = owner
    cursor_of: Callable[[int], str] = str
    files: tuple[File, ...] = ()
    counted: int = len(ROWS)
    found: tuple[Identity, ...] = ()
    gaps: tuple[Gap, ...] = ()
    subject_kinds: frozenset[SubjectKind] = frozenset({SubjectKind.USER})

    @property
    def datasets(self) -> Sequence[Dataset]:
        return [self.dataset]

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: str | None = None
    ) -> Generator[Batch, None, None]:
        del dataset, selection
        begin = 0 if after is None else int(after)
        if not self.knows(subject):
            return
        for number in range(begin, len(self.rows), 2):
            end = min(number + 2, len(self.rows))
            files, gaps = (self.files, self.gaps) if number == 0 else ((), ())
            yield Batch(self.rows[number:end], self.cursor_of(end), files, gaps)

    def count(self, subject: Subject, dataset: Dataset, selection: Selection) -> Size:
        del subject, dataset, selection
        return Size(self.counted)

    def identities(self, subject: Subject) -> Sequence[Identity]:
        return self.found if owner(subject) else ()


@dataclass(frozen=True)
class Prepared:
    """A prepared count with sizes of its own."""

    sizes: tuple[Size, ...]
    asked_of: str = "memory"

    def together(self, counts: Sequence[Prepared]) -> Sequence[Size]:
        del counts
        return self.sizes


@dataclass
class JointNotes(Notes):
    """The same with a prepared count of two sizes."""

    sizes: tuple[Size, ...] = (Size(5), Size(5))

    def prepared_count(self, subject: Subject, dataset: Dataset, selection: Selection) -> Prepared:
        del subject, dataset, selection
        return Prepared(self.sizes)


SECRET = Withheld("key", "a key", "it gives access to the notes")


def test_a_gap_may_name_its_record_and_its_field() -> None:
    """Its record is in the same batch, and the field is null."""
    gap = Gap("notes/0/text", "not_json", key=("0",), fields=("text",))
    check_exporter(Notes(rows=replaced(text=None), gaps=(gap,)), USER)


def replaced(**values: object) -> tuple[Record, ...]:
    return ({**ROWS[0], **values}, *ROWS[1:])  # type: ignore[dict-item]


def test_a_good_exporter_passes() -> None:
    """The suite asks for nothing beyond the promises."""
    check_exporter(Notes(), USER)
    check_exporter(JointNotes(), USER)
    check_exporter(Notes(found=(Identity("notes", "nick", "a", verified=True),)), USER, held=lambda: 0)


@pytest.mark.parametrize(
    ("exporter", "promise"),
    [
        (Notes(rows=replaced(at="2026-01-01 00:00:00")), "notes/at: a value is not of type datetime"),
        (Notes(rows=replaced(text=b"bytes")), "notes/text: a value is not of type string"),
        (Notes(rows=replaced(text="\ud800")), "notes/text: a value is not of type string"),
        (Notes(rows=replaced(secret="x")), r"fields differ: \['secret'\]"),
        (Notes(rows=replaced(id=None)), "a key is null"),
        (Notes(rows=replaced(id="1")), "two records have the same key"),
        (
            Notes(cursor_of=lambda end: str(max(end - 1, 0))),
            "reading after the cursor of batch 0 gives different records",
        ),
        (Notes(knows=lambda _: True), "it yields data of a subject without identities"),
        (Notes(knows=lambda s: bool(s.identities)), "it yields data of a subject with unknown identifiers"),
        (
            Notes(knows=lambda s: any(i.value == "usr_1" for i in s.identities)),
            "it yields data of a subject with unverified identities only",
        ),
        (Notes(counted=4), "count.. says 4 records, but 5 were yielded"),
        (JointNotes(sizes=(Size(5), Size(4))), "its prepared count differs from the records that were yielded"),
        (JointNotes(sizes=(Size(5),)), "two counts have 1 sizes"),
        (Notes(rows=()), "nothing was checked"),
        (Notes(gaps=(Gap("a", "not_json", key=("9",)),)), "a gap names a record that is not in its batch"),
        (Notes(gaps=(Gap("a", "not_json", key=("0",), fields=("text",)),)), "a gap names a field that has a value"),
        (Notes(gaps=(Gap("a", "not_json", key=("0",), fields=("other",)),)), "a field that is not declared"),
        (Notes(gaps=(Gap("a", "not_json", fields=("text",)),)), "fields without the key of their record"),
        (Notes(dataset=replace(NOTES, fields=(KEY, TEXT, replace(WHEN, description=" ")))), "has no description"),
        (Notes(dataset=replace(NOTES, key=("number",))), "its key is not among its fields"),
        (
            Notes(dataset=replace(NOTES, subject_kinds=frozenset({SubjectKind.TENANT}))),
            "has subject kinds that its exporter does not have",
        ),
        (Notes(subject_kinds=frozenset()), "subject_kinds must be a set of one or more SubjectKind"),
        (Notes(dataset=replace(NOTES, withheld=(SECRET, SECRET))), "two withheld things have the same name"),
        (Notes(dataset=replace(NOTES, withheld=(replace(SECRET, name="Key 1"),))), "must be like `password_hash`"),
        (
            Notes(files=(File("a", "audio/wav", 8, open=lambda _: iter([b"12345678"])),)),
            "reading a file from an offset gives other bytes",
        ),
        (
            Notes(
                files=(File("a", "text/plain", 0, lambda _: iter(())), File("A", "text/plain", 0, lambda _: iter(())))
            ),
            "two files have the same name",
        ),
    ],
)
def test_a_contract_violation_is_named(exporter: Notes, promise: str) -> None:
    """Each broken promise fails the suite with a text that says which, and holds no value of a record."""
    exporter = replace(exporter)
    if not exporter.rows:
        exporter.counted = 0
    with pytest.raises(AssertionError, match=promise) as caught:
        check_exporter(exporter, USER)
    assert "note 1" not in str(caught.value)


UNDECIDED_FAX = CoverageFinding(CoverageKind.UNDECIDED_COLUMN, "notes", "fax", "notes")


@dataclass
class CheckedNotes(Notes):
    """Notes that are compared with what their source has."""

    sha256: str = "0" * 64
    finding: CoverageFinding = UNDECIDED_FAX

    @property
    def declaration(self) -> CheckedDeclaration:
        return CheckedDeclaration(self.sha256)

    def check(self) -> Coverage:
        return Coverage((self.finding,))


def test_findings_of_a_check_are_about_the_exporter() -> None:
    """What is declared has a hash, and a finding names a dataset of the exporter, or none."""
    check_exporter(CheckedNotes(), USER)
    check_exporter(CheckedNotes(finding=CoverageFinding(CoverageKind.UNDECIDED_TABLE, "calls")), USER)

    with pytest.raises(AssertionError, match=r"declaration\.sha256 is not a SHA-256"):
        check_exporter(CheckedNotes(sha256=""), USER)
    with pytest.raises(AssertionError, match=r"check\(\) names a dataset that the exporter does not have"):
        check_exporter(CheckedNotes(finding=CoverageFinding(CoverageKind.UNFIT, "calls", dataset="calls")), USER)


def test_files_that_share_what_they_read_from() -> None:
    """One reader for all files: opening the next file moves the first file."""
    contents = {"a": b"aaaabbbb", "b": b"ccccdddd"}
    reader: Iterator[bytes] = iter(())

    def opened(name: str) -> Callable[[int], Iterator[bytes]]:
        def open_(offset: int) -> Iterator[bytes]:
            nonlocal reader
            whole = contents[name][offset:]
            reader = iter([whole[:4], whole[4:]])
            return iter(lambda: next(reader, b""), b"")

        return open_

    files = tuple(File(name, "text/plain", 8, opened(name)) for name in contents)
    with pytest.raises(AssertionError, match="while the next file is open in another thread"):
        check_exporter(Notes(files=files), USER)
    check_exporter(Notes(files=files[:1]), USER)


def test_runs_that_differ() -> None:
    """An exporter whose order changes between two runs is found out."""
    runs = iter(range(100))

    class Restless(Notes):
        def export(
            self, subject: Subject, dataset: Dataset, selection: Selection, *, after: str | None = None
        ) -> Generator[Batch, None, None]:
            self.rows = ROWS if next(runs) % 2 else ROWS[::-1]
            yield from Notes.export(self, subject, dataset, selection, after=after)

    with pytest.raises(AssertionError, match="two runs differ"):
        check_exporter(Restless(), USER)


def test_something_held_after_an_early_close() -> None:
    """What is still open after an early close is found out."""
    with pytest.raises(AssertionError, match="resources stay open"):
        check_exporter(Notes(), USER, held=lambda: 1)


def test_a_batch_without_bound() -> None:
    """Three batches are in memory at a time: one of several records has at most 16 MiB of JSON."""
    long = tuple({**row, "text": "x" * (9 << 20)} for row in ROWS)
    check_exporter(Notes(rows=long[:1], counted=1), USER)
    with pytest.raises(AssertionError, match="notes: a batch of several records has 18 MiB of JSON"):
        check_exporter(Notes(rows=long), USER)


def test_a_function_that_returns_a_list() -> None:
    """export() must be a generator function: a list would be complete before the first batch is written."""

    class Eager(Notes):
        def export(  # type: ignore[override]  # the fault that is tested
            self, subject: Subject, dataset: Dataset, selection: Selection, *, after: str | None = None
        ) -> list[Batch]:
            return list(Notes.export(self, subject, dataset, selection, after=after))

    with pytest.raises(AssertionError, match="not a generator function"):
        check_exporter(Eager(), USER)  # type: ignore[arg-type]


def test_a_contact_found_at_another_tenant() -> None:
    """identities() of a contact stays within its tenant."""
    contact = sample_subject(SubjectKind.CONTACT, "con_1", tenant="ten_a")
    exporter = Notes(
        knows=lambda s: (
            s.tenant == "ten_a" and "con_1" in s.verified("contact_id") and bool(s.identities[0].tenant == "ten_a")
        ),
        found=(Identity("notes", "contact_id", "con_2", verified=True, tenant="ten_b"),),
        subject_kinds=frozenset({SubjectKind.CONTACT}),
    )
    exporter.identities = lambda subject: exporter.found if exporter.knows(subject) else ()  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="of another tenant"):
        check_exporter(exporter, contact)
