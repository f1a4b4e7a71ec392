"""References from table to table: by a foreign key, or by a column without one whose name says the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from exporters.sql.catalogue import Catalogue, CatalogueColumn, CatalogueTable, Reference, type_in_maps
from exporters.sql.proposal.row_names import meant
from portability.api import FieldType


def references_of(
    catalogue: Catalogue, table: CatalogueTable, tenant: str | None, by_names: Mapping[str, Sequence[str]]
) -> Iterator[tuple[Reference, bool]]:
    """Yield the references by one column each, and whether only the name says so; not those to the tenant."""
    named: set[str] = set()
    for reference in table.references:
        named.update(reference.columns)
        pairs = naming(catalogue, reference, tenant)
        if len(pairs) == 1 and reference.table in catalogue.tables:
            yield Reference((pairs[0][0],), reference.table, (pairs[0][1],)), False
        elif len(pairs) > 1:
            yield from ((one, False) for one in _onward(catalogue, reference, tenant, {table.name}))
    for column in table.columns.values():
        if column.name in named or column.name == tenant:
            continue
        others = [catalogue.tables[one] for one in meant(column.name, by_names) if one != table.name]
        if len(others) == 1 and may_name(column, others[0], is_key=True):
            yield Reference((column.name,), others[0].name, (others[0].key[0],)), True


def _onward(catalogue: Catalogue, reference: Reference, tenant: str | None, seen: set[str]) -> Iterator[Reference]:
    """Yield where single columns of a foreign key of several lead, by the keys of the columns that they name.

    The number of a person in a place of a course is that of a person, also in what refers to the place.
    """
    other = catalogue.tables.get(reference.table)
    for further in other.references if other and other.name not in seen else ():
        pairs = dict(naming(catalogue, further, tenant))
        here = [
            (column, pairs[key]) for column, key in zip(reference.columns, reference.keys, strict=True) if key in pairs
        ]
        if len(pairs) == 1 and further.table in catalogue.tables:
            yield from (Reference((column,), further.table, (end,)) for column, end in here)
        elif len(here) > 1:
            led = Reference(tuple(one for one, _ in here), further.table, tuple(end for _, end in here))
            yield from _onward(catalogue, led, tenant, {*seen, reference.table})


def naming(catalogue: Catalogue, reference: Reference, tenant: str | None) -> Sequence[tuple[str, str]]:
    """Return the columns of a reference and what they name, without the tenant; one, if it is enough to name a row."""
    pairs = [pair for pair in zip(reference.columns, reference.keys, strict=True) if tenant not in pair]
    unique = catalogue.tables[reference.table].unique if reference.table in catalogue.tables else ()
    enough = [pair for pair in pairs if frozenset({pair[1]}) in unique]
    return enough if len(enough) == 1 else pairs


def may_name(column: CatalogueColumn, other: CatalogueTable, *, is_key: bool) -> bool:
    """Return whether a column has the type of the key of another table; a text `country` is the name of a country."""
    kind = type_in_maps(column.type)
    return kind is type_in_maps(other.columns[other.key[0]].type) and (is_key or kind is not FieldType.STRING)
