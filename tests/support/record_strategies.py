"""Hypothesis strategies: datasets of any fields, with records that fit them."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

from portability.api import JSON, Dataset, Field, FieldType, Provenance, Record, Role

_ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_NASTY_TEXT = st.text("\"',\r\n\t =+-@＝\ufeff\0'{}[]")  # noqa: RUF001  # full-width on purpose
TEXTS = _ANY_TEXT | _NASTY_TEXT
_SAFE_INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)

VALUES: dict[FieldType, st.SearchStrategy[JSON]] = {
    FieldType.STRING: TEXTS,
    FieldType.INTEGER: st.integers(),
    FieldType.NUMBER: st.integers() | _FLOATS,
    FieldType.DECIMAL: st.decimals(allow_nan=False, allow_infinity=False).map(str),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.DATETIME: st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    FieldType.DATE: st.dates().map(lambda day: day.isoformat()),
    FieldType.OBJECT: st.recursive(
        st.none() | st.booleans() | _SAFE_INTEGERS | _FLOATS | TEXTS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
        max_leaves=8,
    ),
}


def text_dataset(*, columns: int) -> Dataset:
    """A dataset of text alone."""
    return _dataset([FieldType.STRING] * columns)


@st.composite
def datasets_with_records(draw: st.DrawFn) -> tuple[Dataset, list[Record]]:
    """A dataset of one to five fields, and records that fit it, NULL anywhere."""
    dataset = _dataset(draw(st.lists(st.sampled_from(FieldType), min_size=1, max_size=5)))
    row = st.fixed_dictionaries({field.name: st.none() | VALUES[field.type] for field in dataset.fields})
    return dataset, list(draw(st.lists(row, max_size=8)))


def cuts() -> st.SearchStrategy[list[int]]:
    """Sizes for `in_blocks`."""
    return st.lists(st.integers(0, 20), max_size=30)


def in_blocks(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The data in blocks of these sizes, the rest in one."""
    begin = 0
    for size in sizes:
        yield data[begin : begin + size]
        begin += size
    yield data[begin:]


def _dataset(types: list[FieldType]) -> Dataset:
    fields = tuple(Field(f"f{n}", kind, "A field.", Provenance.PROVIDED) for n, kind in enumerate(types))
    return Dataset("things", "Things", "Things.", fields, Provenance.PROVIDED, Role.CONTROLLER, ("f0",))
