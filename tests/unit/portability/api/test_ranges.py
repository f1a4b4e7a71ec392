from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import overload

import pytest

from portability.api import Slice
from portability.api.errors import ExporterFault
from portability.api.ranges import WHOLE, chained

SECRET = "ana@example.org"


def chain(*inner: str | None) -> list[Slice]:
    return [Slice(*pair) for pair in pairwise((None, *inner, None))]


class EndlessSlices(Sequence[Slice]):
    """A sequence that says that it is short and never ends."""

    def __len__(self) -> int:
        return 1

    @overload
    def __getitem__(self, index: int) -> Slice: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Slice]: ...
    def __getitem__(self, index: int | slice) -> Slice | Sequence[Slice]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Slice]:
        while True:
            yield Slice()


@pytest.mark.parametrize("inner", [(), ("b",), ("b", "a"), ("", "x", "\N{SEEDLING}")])
def test_a_chain_is_taken(inner: tuple[str, ...]) -> None:
    """Bounds are opaque: any order of any plain texts will do, and fewer slices than were asked for."""
    assert chained("notes", chain(*inner), 4) == tuple(chain(*inner))


def test_a_chain_over_a_part() -> None:
    """The parts of a slice begin and end where it does, and nowhere else."""
    part = Slice("b", "y")
    parts = (Slice("b", "m"), Slice("m", "y"))
    assert chained("notes", parts, 2, part) == parts
    for whole in (WHOLE, Slice("b"), Slice(None, "y"), Slice("a", "y")):
        with pytest.raises(ExporterFault, match="the first slice has a begin, or the last slice has an end"):
            chained("notes", parts, 2, whole)
    with pytest.raises(ExporterFault, match="empty"):
        chained("notes", (Slice("b", "b"), Slice("b", "y")), 2, part)


@pytest.mark.parametrize(
    ("offered", "fault"),
    [
        (None, "returned a NoneType instead of a sequence"),
        (iter(chain("b")), "returned a list_iterator instead of a sequence"),
        ("text", "objects that are not slices"),
        ([None], "objects that are not slices"),
        ([("a", "b")], "objects that are not slices"),
        ([], "returned no slices"),
        (chain("a", "b", "c", "d"), "returned too many slices; expected 1 to 4"),
        (EndlessSlices(), "returned too many slices"),
        ([Slice("a", None)], "the first slice has a begin"),
        ([Slice(None, "a")], "or the last slice has an end"),
        ([Slice(None, "a"), Slice("b", None)], "slice 2 does not begin where the previous one ends"),
        ([Slice(None, "b"), Slice("a", "c"), Slice("c", None)], "slice 2 does not begin where the previous one ends"),
        ([Slice(), Slice()], "not plain text"),
        (chain("a", "a"), "a slice is empty"),
        (chain("a", "b", "a"), "a slice is empty"),
        (chain(f"{SECRET}\0"), "not plain text"),
        (chain(f"{SECRET}\ud800"), "not plain text"),
        ([Slice(None, 5), Slice(5, None)], "not plain text"),  # type: ignore[arg-type]
        ([Slice(None, b"a"), Slice(b"a", None)], "not plain text"),  # type: ignore[arg-type]
        ([Slice(None, ["a"]), Slice(["a"], None)], "not plain text"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_chain_is_refused(offered: object, fault: str) -> None:
    """A hole, an overlap, too many, or what cannot be stored: the fault names the dataset and holds no bound."""
    with pytest.raises(ExporterFault, match=fault) as caught:
        chained("helpdesk/notes", offered, 4)
    assert str(caught.value).startswith("helpdesk/notes: ")
    assert SECRET not in str(caught.value)
