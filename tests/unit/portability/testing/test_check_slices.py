from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest

from portability.api import (
    Batch,
    Dataset,
    Field,
    FieldType,
    Provenance,
    Record,
    Role,
    Selection,
    Size,
    Slice,
    Subject,
    SubjectKind,
)
from portability.testing import check_exporter, sample_subject

KEY = Field("id", FieldType.STRING, "Identifier.", Provenance.OBSERVED)
NOTES = Dataset("notes", "Notes", "Notes.", (KEY,), Provenance.OBSERVED, Role.CONTROLLER, ("id",))
ROWS: tuple[Record, ...] = tuple({"id": f"note {number}"} for number in range(5))
USER = sample_subject(SubjectKind.USER, "usr_1")

TURNED = {(0, 2): (2, 5), (2, 5): (0, 2), (0, 5): (0, 5)}


@dataclass
class SlicedNotes:
    """Five notes, cut at "2" and "4" into slices of numbers; each test breaks one rule of the contract."""

    inner: tuple[str, ...] = ("2", "4")
    offer: Callable[[list[Slice]], Sequence[Slice]] = lambda slices: slices
    reads: Callable[[int, int], tuple[int, int]] = lambda begin, end: (begin, end)
    """What is read of a slice."""
    resumes: bool = True
    walled: bool = True
    counts: bool = True
    subject_kinds: frozenset[SubjectKind] = frozenset({SubjectKind.USER})

    @property
    def datasets(self) -> Sequence[Dataset]:
        return [NOTES]

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: str | None = None
    ) -> Generator[Batch, None, None]:
        del dataset
        begin, end = self._range(selection)
        sliced = (begin, end) != (0, len(ROWS))
        if "usr_1" in subject.verified("user_id") or (sliced and not self.walled):
            if after is not None and (self.resumes or not sliced):
                begin = int(after)
            for number in range(begin, end):
                yield Batch([ROWS[number]], str(number + 1))

    def count(self, subject: Subject, dataset: Dataset, selection: Selection) -> Size:
        del subject, dataset
        begin, end = self._range(selection) if self.counts else (0, len(ROWS))
        return Size(end - begin)

    def slices(self, subject: Subject, dataset: Dataset, selection: Selection, n: int) -> Sequence[Slice]:
        del subject, dataset, selection
        return self.offer([Slice(*pair) for pair in pairwise((None, *self.inner[: n - 1], None))])

    def _range(self, selection: Selection) -> tuple[int, int]:
        piece = selection.slice or Slice()
        begin, end = self.reads(int(piece.begin or 0), int(piece.end or len(ROWS)))
        return max(begin, 0), min(end, len(ROWS))


def raises(_slices: list[Slice]) -> Sequence[Slice]:
    raise LookupError("note 1")


@pytest.mark.parametrize("inner", [(), ("1",), ("2", "4"), ("1", "2", "3", "4")])
def test_good_slices_pass(inner: tuple[str, ...]) -> None:
    """Slices may be fewer than were asked for, and of any size."""
    check_exporter(SlicedNotes(inner), USER, held=lambda: 0)


def test_a_part_is_cut_too() -> None:
    """The slices of a slice are its own parts."""
    part = Selection(slice=Slice("1", "4"))
    parts = SlicedNotes(
        offer=lambda slices: [Slice("1", "4")] if len(slices) == 1 else [Slice("1", "2"), Slice("2", "4")]
    )
    check_exporter(parts, USER, selection=part)
    with pytest.raises(AssertionError, match="the first slice has a begin, or the last slice has an end"):
        check_exporter(SlicedNotes(), USER, selection=part)


@pytest.mark.parametrize(
    ("exporter", "promise"),
    [
        (SlicedNotes(reads=lambda begin, end: (begin, end + 1)), "notes in 2 slices: a record is in two slices"),
        (SlicedNotes(reads=lambda begin, end: (begin - 1, end)), "notes in 2 slices: a record is in two slices"),
        (SlicedNotes(reads=lambda _begin, _end: (0, 5)), "notes in 2 slices: a record is in two slices"),
        (SlicedNotes(("4", "2")), "notes in 3 slices: a record is in two slices"),
        (
            SlicedNotes(reads=lambda begin, end: (begin + bool(begin), end)),
            "notes in 2 slices: a record is in no slice",
        ),
        (SlicedNotes(("2",), reads=lambda b, e: TURNED[b, e]), "notes in 2 slices: the slices in order differ"),
        (SlicedNotes(offer=lambda slices: [*slices[:-1], Slice("3")]), "the first slice has a begin"),
        (
            SlicedNotes(offer=lambda s: s if len(s) == 1 else [Slice(None, "2"), Slice("3")]),
            "slice 2 does not begin where",
        ),
        (SlicedNotes(offer=lambda slices: [*slices, *slices]), r"returned too many slices; expected 1 to 1"),
        (SlicedNotes(offer=lambda _slices: []), "returned no slices"),
        (SlicedNotes(("2\0",)), "not plain text"),
        (SlicedNotes(offer=raises), r"notes: slices\(\) raises LookupError$"),
        (SlicedNotes(walled=False), "notes, one slice: it yields data of a subject without identities"),
        (SlicedNotes(counts=False), "notes, one slice: count.. says 5 records, but 2 were yielded"),
        (
            SlicedNotes(resumes=False),
            "notes, one slice: reading after the cursor of its first batch gives different records",
        ),
    ],
)
def test_a_contract_violation_is_named(exporter: SlicedNotes, promise: str) -> None:
    """Overlap, hole, too many, none, a wall or cursor that does not hold: the suite says which, and holds no value."""
    with pytest.raises(AssertionError, match=promise) as caught:
        check_exporter(exporter, USER)
    assert "note 1" not in str(caught.value)


def test_slices_that_differ() -> None:
    """On the same data the same slices: a plan that is made again must be the same plan."""
    looks = iter(range(100))
    restless = SlicedNotes(offer=lambda slices: slices if len(slices) == 1 else _cut_at(str(1 + next(looks) % 2)))
    with pytest.raises(AssertionError, match="differs between two calls"):
        check_exporter(restless, USER)


def test_something_held_after_cutting() -> None:
    """Connections that counting or cutting leave open are found out."""
    left_open = iter([0, 1])
    with pytest.raises(AssertionError, match="resources stay open after count"):
        check_exporter(SlicedNotes(), USER, held=lambda: next(left_open))


def _cut_at(bound: str) -> list[Slice]:
    return [Slice(None, bound), Slice(bound)]
