"""Catalogues of made-up databases, for the search of paths and its judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import BigInteger, DateTime, String

from exporters.sql.catalogue import Catalogue, CatalogueColumn, CatalogueTable, Reference


def made_table(
    name: str,
    references: Mapping[str, str] | None = None,
    columns: Sequence[str] = (),
    *,
    key: Sequence[str] = ("id",),
    unique: Sequence[Sequence[str]] = (),
) -> CatalogueTable:
    """A table with a key, references by column to the `id` of other tables, and texts; `..._at` are times."""
    names = [*key, *(references or {}), *columns]
    described = {
        one: CatalogueColumn(one, DateTime() if one.endswith("_at") else _kind(one, references or {}, key), True)
        for one in names
    }
    made = tuple(Reference((column,), other, ("id",)) for column, other in (references or {}).items())
    keys = (tuple(key), *map(tuple, unique))
    return CatalogueTable(name, described, tuple(key), made, keys, tuple(map(frozenset, keys)))


def made_catalogue(*tables: CatalogueTable) -> Catalogue:
    """A catalogue of these tables."""
    return Catalogue({one.name: one for one in tables})


def judged(catalogue: Catalogue) -> Mapping[str, Sequence[tuple[str, int]]]:
    """By table: the tables that its rows lead to, each with the length of the step, read from the references alone.

    It shares no code with the product: a table joins those of its references that are together unique.
    """
    steps: dict[str, list[tuple[str, int]]] = {name: [] for name in catalogue.tables}
    for name, one in catalogue.tables.items():
        ends = [(made.columns[0], made.table) for made in one.references]
        steps[name] += [(other, 1) for _column, other in ends if other != name]
        plain = {column for column in one.columns if not column.endswith("_at")} - {"id"}
        sides = {column for column, _ in ends}
        joins = [unique for unique in one.unique if len(unique) > 1 and unique <= sides]
        joins = joins or ([frozenset(sides)] if len(ends) > 1 and plain == sides else [])
        for column, left in ends:
            steps[left] += [
                (right, 2)
                for other, right in ends
                if other != column and left != right and any({column, other} <= unique for unique in joins)
            ]
    return steps


def shortest(steps: Mapping[str, Sequence[tuple[str, int]]], subject: str) -> Mapping[str, int]:
    """By table that reaches the subject: the length of its shortest path, by relaxing until nothing changes."""
    found = {subject: 0}
    changed = True
    while changed:
        changed = False
        for name, leads in steps.items():
            for other, cost in leads:
                if other in found and found[other] + cost < found.get(name, 10**9):
                    found[name] = found[other] + cost
                    changed = True
    return found


def _kind(column: str, references: Mapping[str, str], key: Sequence[str]) -> BigInteger | String:
    return BigInteger() if column in references or column in key or column.endswith("_id") else String()
