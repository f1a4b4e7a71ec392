"""When slices make a whole: each begins where the one before it ends, none is empty, nothing is left out.

Bounds are opaque: whether they lie in the order of the exporter's keys, only reading the slices can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, pairwise

from portability.api import Slice
from portability.errors import ExporterFault

WHOLE = Slice()


def chained(name: str, offered: object, n: int, whole: Slice = WHOLE) -> tuple[Slice, ...]:
    """What an exporter offers for the dataset `name`, checked: a chain of at most `n` slices over the whole.

    Raises: ExporterFault. Its message holds no bound: bounds are made of keys.
    """
    if not isinstance(offered, Sequence):
        raise ExporterFault(f"{name}: slices come in a {type(offered).__name__}, not in a sequence")
    slices = tuple(islice(offered, n + 1))
    if not 0 < len(slices) <= n:
        raise ExporterFault(f"{name}: asked for at most {n} slice(s), it offers {'more' if slices else 'none'}")
    if not all(isinstance(one, Slice) for one in slices):
        raise ExporterFault(f"{name}: what it offers are no slices")
    if slices[0].begin != whole.begin or slices[-1].end != whole.end:
        raise ExporterFault(f"{name}: the first slice has a begin, or the last one an end")
    inner = [one.begin for one in slices[1:]]
    if not all(map(_is_plain, inner)):
        raise ExporterFault(f"{name}: slices meet at a bound that is no plain text")
    for number, (one, other) in enumerate(pairwise(slices), start=2):
        if one.end != other.begin:
            raise ExporterFault(f"{name}: slice {number} does not begin where the one before it ends")
    if len(set(inner)) < len(inner) or {whole.begin, whole.end} & set(inner):
        raise ExporterFault(f"{name}: a slice is empty, its begin is a bound already")
    return slices


def _is_plain(bound: object) -> bool:
    """Whether it is text that JSON (no lone surrogates) and PostgreSQL (no NUL) can carry."""
    return type(bound) is str and "\0" not in bound and bound == bound.encode("utf-8", "replace").decode()
