"""Proposes the columns of times that limit and mark rows, and asks for those that seem to be times in numbers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from exporters.sql.catalogue import Catalogue, CatalogueTable, type_in_maps
from exporters.sql.proposal.names import may_be_time
from exporters.sql.proposal.writing import bare_key, plain, quoted
from portability.api import FieldType

CREATED = "created_at created created_on date_created inserted_at creation_date timecreated createat"
CHANGED = "updated_at modified_at changed_at updated modified last_modified timemodified updateat"
DELETED = "deleted_at deleted removed_at is_deleted deleteat"
TIMES = (("created", CREATED.split()), ("changed", CHANGED.split()), ("deleted", DELETED.split()))
"""Keys of a dataset, each with the usual names of its column."""
IN_NUMBERS = "a time by its name, in numbers: take it together with its line of [times]"
RENEWED = "the database sets it again at each change of its row"
COUNTS = """\
# Numbers that seem to be times, by their names. Look at a few values and take the right lines, with "epoch_ms" for
# milliseconds (13 digits now, as in 1700000000000). A name such as "users.lastlogin" is for one table alone.
"""


def times_of_rows(table: CatalogueTable) -> Iterator[str]:
    """Yield the columns that limit and mark rows; numbers as comments, because nothing says what they count."""
    for key, names in TIMES:
        found = next((table.columns[one] for one in names if one in table.columns), None)
        kinds = {FieldType.DATETIME, FieldType.BOOLEAN} if key == "deleted" else {FieldType.DATETIME}
        if found and found.is_renewed and key == "created":
            yield f"# {key} = {quoted(found.name)}: {RENEWED}"
        elif found and type_in_maps(found.type) in kinds:
            yield f"{key} = {quoted(found.name)}"
        elif found and may_be_time(found.name, found.type):
            yield f"# {key} = {quoted(found.name)}  # {IN_NUMBERS}"


def counts(catalogue: Catalogue) -> Iterator[str]:
    """Yield proposals for the columns of numbers that seem to be times, as comments."""
    types: dict[str, Counter[str]] = defaultdict(Counter)
    for table in catalogue.tables.values():
        for column in table.columns.values():
            if may_be_time(column.name, column.type):
                types[column.name][column.type.__visit_name__.lower()] += 1
    if types:
        yield from (*COUNTS.splitlines(), "# [times]")
    for name, found in sorted(types.items()):
        seen = ", ".join(f"{kind} in {count} {'table' if count == 1 else 'tables'}" for kind, count in found.items())
        yield f'# {bare_key(name)} = {{ format = "epoch_seconds" }}  # {plain(seen)}'
