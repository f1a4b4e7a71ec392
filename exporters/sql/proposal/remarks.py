"""What a person has to see beside a proposal: rows that people share, keys that lead back or on, values of any name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from sqlalchemy import JSON, String
from sqlalchemy.dialects import mysql

from exporters.sql.catalogue import CatalogueColumn, CatalogueTable, type_in_maps
from exporters.sql.columns import Shape, Vector
from exporters.sql.identifiers import can_be_id, plain_type
from exporters.sql.proposal.names import Guess, guess, names_rows_of_several, words
from exporters.sql.proposal.paths import Paths
from exporters.sql.proposal.writing import plain

NAMES = ("key", "name")
"""Ends of the name of a column that names a value in a column beside it, such as `meta_key` of `meta_value`."""
NAMES_ALONE = frozenset(
    {*NAMES, "attributeid", "customfieldid", "field", "fieldid", "option", "preference", "property", "propertyid"}
)
"""The same for a column that is called `value` alone."""
UNORDERED = (mysql.ENUM, mysql.SET, mysql.FLOAT, Shape, Vector, JSON)
"""Types whose order is not that of the values as they are read, or of single precision."""
NAMED_MAX = 3
"""Columns that a remark lists."""
MISSING = "what leads to the subject by it is missing"


def obstacles(table: CatalogueTable) -> Iterator[str]:
    """Yield why a worker would refuse a map that names a table as it is, each with what to do."""
    if not table.key:
        yield "It has no primary key: `key` and `order` must be columns that are together unique and never NULL."
    if table.is_dotted:
        yield "Its name has a dot, so a map cannot name it: make a view of it, and list the table as internal."
    if table.is_inherited:
        yield "Tables inherit from it: make a view of all their rows with unique keys, and name that."
    for name in table.key:
        if table.columns[name].is_unordered or isinstance(table.columns[name].type, UNORDERED):
            type_of = f"The type of {plain(name)}"
            yield f"{type_of} gives no order: `order` must be other columns that are together unique."


def unfit(table: CatalogueTable, key: str) -> str:
    """Return a remark on a key that no id of a person is compared with, so that a worker refuses it; else empty."""
    named = plain(f"{table.name}.{key}")
    is_id = can_be_id(table.columns[key].type)
    return "" if is_id else f"the type of {named} is compared with no id: name a view that writes it as a text"


def mixed(table: CatalogueTable) -> Iterator[str]:
    """Yield the columns of a table that name rows of several tables."""
    for column in table.columns:
        if kind := names_rows_of_several(table, column):
            yield f"{plain(column)} names rows of several tables, as {plain(kind)} says"


def addresses(table: CatalogueTable) -> Iterator[str]:
    """Yield the columns that seem to have e-mail addresses, by which a row may be of another person."""
    for name, column in table.columns.items():
        is_personal = isinstance(plain_type(column.type), String) and guess(name, column.type) is Guess.PERSONAL
        if is_personal and "mail" in "".join(words(name)):
            yield f"{plain(name)} has addresses, which may be of a person whom no id of the row names"


def own_rows(table: CatalogueTable) -> Iterator[CatalogueColumn]:
    """Yield the columns that name rows of the table itself: by a foreign key, or by the word `parent`."""
    (key,) = table.key if len(table.key) == 1 else ("",)
    keyed = {one.columns[0] for one in table.references if (one.table, one.keys) == (table.name, (key,))}
    for column in table.columns.values():
        is_parent = key and column.name != key and "parent" in words(column.name)
        fits = is_parent and type_in_maps(column.type) is type_in_maps(table.columns[key].type)
        if column.name in keyed or (
            fits and not names_rows_of_several(table, column.name) and not _names(table, column)
        ):
            yield column


def _names(table: CatalogueTable, column: CatalogueColumn) -> bool:
    """Return whether a foreign key says which rows a column names."""
    return any(column.name in one.columns for one in table.references)


def named_rows(paths: Paths, table: str) -> Iterator[str]:
    """Yield the columns of the subject's table that name rows of other tables."""
    for reference, _by_name in paths.references.get(table, ()):
        if reference.table != table:
            column = plain(reference.columns[0])
            yield f"{column} names a row of {plain(reference.table)}, which may be of the subject"


def held_in_common(paths: Paths, table: str, tenants: Collection[str]) -> Iterator[str]:
    """Yield the columns that name what people of the subject's table have in common, such as a household.

    `tenants` are the tables that name a tenant, if the database has tenants: others are lists, such as countries.
    """
    common = {one.table: one.columns[0] for one, _by_name in paths.references.get(paths.subject, ())}
    for reference, _by_name in paths.references.get(table, ()):
        is_of_people = reference.table not in paths.reached and (not paths.tenant or reference.table in tenants)
        if is_of_people and reference.table in common:
            theirs = f"{plain(common[reference.table])} of {plain(paths.subject)}"
            named = plain(reference.columns[0])
            yield f"{named} names a row of {plain(reference.table)}, as {theirs} does"


def naming_columns(paths: Paths, table: str) -> str:
    """Return a remark on the columns of rows of the subject that name rows of a table; empty without such columns."""
    found = [
        f"{plain(name)}.{plain(reference.columns[0])}"
        for name in sorted(paths.reached)
        for reference, _by_name in paths.references.get(name, ())
        if reference.table == table
    ]
    more = f" and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
    return f"its rows are named by {', '.join(found[:NAMED_MAX])}{more}" if found else ""


def shared(paths: Paths, table: str) -> str:
    """Return the table on the path of a table whose rows people share, through a table that joins; empty without."""
    while table != paths.subject:
        step = paths.reached[table].chosen
        if not step or step.through:
            return table if step else ""
        table = step.table
    return ""


def name_beside(column: str, columns: Iterable[str]) -> str:
    """Return the column that names the value in a column, as `meta_key` that in `meta_value`; else empty."""
    stem = "".join(words(column)).removesuffix("value")
    ends = [f"{stem}{end}" for end in NAMES] if stem else NAMES_ALONE
    is_value = "".join(words(column)) == f"{stem}value"
    return next((one for one in columns if is_value and "".join(words(one)) in ends), "")
