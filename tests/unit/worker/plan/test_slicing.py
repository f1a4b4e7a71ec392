from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from factories import MadeUpExporter, things

from portability.api import Dataset, Selection, Slice, Subject, SubjectKind
from portability.api.errors import ExporterFault, FormatError, SourceError, SourceRefused, SourceUnavailable
from portability.testing import sample_subject
from worker.plan.plan import PlanLine
from worker.plan.slicing import SliceOffer, how_many, offered

MIB = 1 << 20
USER = sample_subject(SubjectKind.USER, "usr_1")
HALVES = (Slice(None, "5"), Slice("5", None))
IN_ONE = (Slice(),)


@dataclass
class Slicing(MadeUpExporter):
    """Offers the slices that a test wants."""

    offer: Callable[[int], object] = lambda _n: HALVES

    def slices(self, subject: Subject, dataset: Dataset, selection: Selection, n: int) -> Sequence[Slice]:
        assert (subject, dataset, selection) == (USER, self.datasets[0], Selection())
        return self.offer(n)  # type: ignore[return-value]  # strangers return anything


def raising(error: Exception) -> Callable[[int], object]:
    def offer(_n: int) -> object:
        raise error

    return offer


def asked(exporter: MadeUpExporter, n: int = 4, selection: Selection | None = None) -> SliceOffer:
    line = PlanLine("made", exporter.datasets[0], frozenset({"id", "text"}), USER)
    return offered(exporter, line, selection or Selection(), n)


def test_a_sound_offer_is_taken() -> None:
    """The exporter's own slices, as a tuple, and no fault."""
    assert asked(Slicing(things(9))) == SliceOffer(HALVES)
    assert asked(Slicing(things(9), offer=lambda _n: list(HALVES))) == SliceOffer(HALVES)


def test_who_cannot_cut_is_read_in_one() -> None:
    """An exporter without slices fulfils the contract; for one slice it is not called."""
    assert asked(MadeUpExporter(things(9))) == SliceOffer(IN_ONE)
    assert asked(Slicing(things(9), offer=raising(AssertionError())), n=1) == SliceOffer(IN_ONE)
    part = Slice("b", "y")
    assert asked(MadeUpExporter(things(9)), selection=Selection(slice=part)) == SliceOffer((part,))


@pytest.mark.parametrize(
    ("offer", "fault", "text"),
    [
        (raising(SourceUnavailable("not now")), SourceUnavailable, "not now"),
        (raising(SourceRefused("no")), SourceRefused, "no"),
        (raising(KeyError("ana@example.org")), ExporterFault, r"made/things: slices\(\) raised KeyError"),
        (raising(FormatError("ana@example.org")), ExporterFault, r"made/things: slices\(\) raised FormatError"),
        (raising(NotImplementedError()), ExporterFault, r"slices\(\) raised NotImplementedError"),
        (lambda n: [Slice(None, "a"), Slice("b", None)][:n], ExporterFault, "made/things: slice 2 does not begin"),
        (lambda n: [Slice()] * (n + 1), ExporterFault, "returned too many slices"),
        (lambda _n: None, ExporterFault, "NoneType"),
        (lambda _n: [Slice(None, "a\0"), Slice("a\0", None)], ExporterFault, "not plain text"),
    ],
)
def test_whatever_goes_wrong_it_is_read_in_one(
    offer: Callable[[int], object], fault: type[SourceError], text: str
) -> None:
    """A broken offer costs speed and no record; the fault tells the source's trouble from the exporter's."""
    got = asked(Slicing(things(9), offer=offer))
    assert got.slices == IN_ONE
    with pytest.raises(fault, match=f"^.*{text}") as caught:
        raise got.fault or AssertionError
    assert type(caught.value) is fault
    assert "ana@" not in str(caught.value)


def test_slices_that_are_no_method() -> None:
    """A member that happens to have the name is a fault like another."""
    exporter = Slicing(things(9))
    exporter.slices = HALVES  # type: ignore[assignment,method-assign]
    assert isinstance(asked(exporter).fault, ExporterFault)


@pytest.mark.parametrize(
    ("records", "file_bytes", "expected"),
    [
        (None, None, 1),
        (None, 1 << 40, 1),
        (0, 0, 1),
        (0, 1 << 40, 1),
        (1, 1 << 40, 1),
        (3, 1 << 40, 3),
        (10_000, None, 4),
        (10_000, 0, 4),
        (10_000, -(1 << 40), 4),
        (2_097, None, 1),
        (4_194, None, 1),
        (4_195, None, 2),
        (4_195, MIB, 3),
        (1_000_000, 1 << 40, 16),
        (-5, None, 1),
    ],
)
def test_how_many(records: int | None, file_bytes: int | None, expected: int) -> None:
    """A slice has at least its bytes and at least a record; below that, or for unknown sizes, there is one slice."""
    assert how_many(records, file_bytes, slice_bytes=MIB, slices_max=16) == expected
