"""Check that slices form a whole: each begins where the previous one ends, none is empty, nothing is left out.

Bounds are opaque: only reading the slices can show whether they follow the order of the exporter's keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, pairwise

from portability.api.errors import ExporterFault
from portability.api.nouns import Slice

WHOLE = Slice()


def chained(name: str, offered: object, n: int, whole: Slice = WHOLE) -> tuple[Slice, ...]:
    """Check and return the slices that an exporter offers for the dataset `name`: at most `n`, which cover `whole`.

    Raises: ExporterFault. Its message contains no bound, because bounds are made of keys.
    """
    if not isinstance(offered, Sequence):
        raise ExporterFault(f"{name}: slices() returned a {type(offered).__name__} instead of a sequence")
    slices = tuple(islice(offered, n + 1))
    if not 0 < len(slices) <= n:
        raise ExporterFault(f"{name}: slices() returned {'too many' if slices else 'no'} slices; expected 1 to {n}")
    if not all(isinstance(one, Slice) for one in slices):
        raise ExporterFault(f"{name}: slices() returned objects that are not slices")
    if slices[0].begin != whole.begin or slices[-1].end != whole.end:
        raise ExporterFault(f"{name}: the first slice has a begin, or the last slice has an end")
    inner = [one.begin for one in slices[1:]]
    if not all(map(_is_plain, inner)):
        raise ExporterFault(f"{name}: a bound of the slices is not plain text")
    for number, (one, other) in enumerate(pairwise(slices), start=2):
        if one.end != other.begin:
            raise ExporterFault(f"{name}: slice {number} does not begin where the previous one ends")
    if len(set(inner)) < len(inner) or {whole.begin, whole.end} & set(inner):
        raise ExporterFault(f"{name}: a slice is empty: its begin equals an earlier bound")
    return slices


def _is_plain(bound: object) -> bool:
    """Return whether it is text that JSON (no lone surrogates) and PostgreSQL (no NUL) can store."""
    return type(bound) is str and "\0" not in bound and bound == bound.encode("utf-8", "replace").decode()
