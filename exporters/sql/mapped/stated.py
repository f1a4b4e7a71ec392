"""Which columns contain times that the map states, and the faults of such statements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Integer, String
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.types import NullType, TypeEngine

from exporters.maps.reading import MapFault
from exporters.sql.columns import SourceTime
from exporters.sql.identifiers import plain_type
from exporters.sql.mapped.catalogue import Catalogue, FoundColumn
from exporters.sql.mapped.forms import SqlSourceForm
from exporters.sql.mapped.uses import used_columns
from exporters.sql.moments import StatedTimes
from exporters.sql.values import NUMBERS, WITHOUT_CHARACTERS, field_type


def times_in(form: SqlSourceForm, table: str, column: str, kind: TypeEngine[Any]) -> StatedTimes | None:
    """Return how a column of this type contains times by the map; None: the map does not say it.

    A name without its table means the columns of this name whose type fits.
    """
    if own := form.times.get(f"{table}.{column}"):
        return own.stated
    if not (shared := form.times.get(column)):
        return None
    fits = _has_numbers(kind) if shared.stated.is_counted else _has_texts(kind)
    return shared.stated if fits else None


def stored_type(kind: TypeEngine[Any], stated: StatedTimes) -> TypeEngine[Any]:
    """Return the type by which such a column is compared as it is stored: SQLite takes numbers in any column."""
    if stated.is_counted and isinstance(kind, SourceTime):
        return Integer()
    return plain_type(kind) if isinstance(kind, DOMAIN) else kind


def is_compared(found: FoundColumn, stated: StatedTimes) -> bool:
    """Return whether the database compares the times of a column: it does not know how a text has them."""
    return stated.is_counted and _has_numbers(stored_type(found.type, stated))


def unused_times(form: SqlSourceForm) -> Iterator[MapFault]:
    """Yield the names of columns that the map does not mention elsewhere."""
    named = {(used.table, used.column) for used in used_columns(form)}
    for one in form.dataset:
        named |= {(one.table, name) for name in (*one.withheld, *one.internal, *one.undecided)}
    known = {name for table, column in named for name in (column, f"{table}.{column}")}
    for name in form.times:
        if name not in known:
            yield MapFault(("times", name), f"the map names no column {name!r}", "write `table.column`, or `column`")


def times_faults(form: SqlSourceForm, catalogue: Catalogue) -> Iterator[MapFault]:
    """Yield the columns that cannot contain times as the map states them."""
    for name, one in form.times.items():
        table, _, column = name.rpartition(".")
        found = catalogue[table].columns.get(column) if table in catalogue else None
        if found and not _may_have(found, one.stated):
            what = f"{column!r} of {table} is {found.name_of_type}: it has no times in the format {one.format}"
            yield MapFault(("times", name), what)
    for place, dataset in enumerate(form.dataset):
        for name, field in dataset.fields.items():
            if dataset.join and field.joined and field.column:
                pair = ((dataset.join.table, field.joined), (dataset.table, field.column))
                forms = {_times_of(form, catalogue, *of) for of in pair}
                if len(forms) > 1:
                    what = f"{name}: {'.'.join(pair[0])} and {'.'.join(pair[1])} have times in different forms"
                    yield MapFault(("dataset", place, "fields", name), what)


def _may_have(found: FoundColumn, stated: StatedTimes) -> bool:
    kind = stored_type(found.type, stated)
    return _has_texts(kind) or (stated.is_counted and _has_numbers(kind))


def _has_numbers(kind: TypeEngine[Any]) -> bool:
    return field_type(plain_type(kind)) in NUMBERS


def _has_texts(kind: TypeEngine[Any]) -> bool:
    """Return whether a column has texts: a column of SQLite without a type may."""
    return isinstance(plain_type(kind), (String, NullType, *WITHOUT_CHARACTERS))


def _times_of(form: SqlSourceForm, catalogue: Catalogue, table: str, column: str) -> StatedTimes | None:
    found = catalogue[table].columns.get(column) if table in catalogue else None
    return times_in(form, table, column, found.type) if found else None
