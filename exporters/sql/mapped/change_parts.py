"""The changes of a map: their faults, the columns that they use, and how they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from exporters.maps.reading import MapFault
from exporters.sql.changes import OutboxColumns, SqlChanges
from exporters.sql.mapped.belongings import Tables
from exporters.sql.mapped.change_forms import ChangesForm, OutboxForm
from exporters.sql.mapped.forms import SqlDatasetForm, SqlSourceForm
from portability.api import DeclaredChanges, FieldType

KEYS = frozenset({None, FieldType.STRING, FieldType.INTEGER})
"""Types of fields of a key that an entry can name."""


def change_faults(form: SqlSourceForm) -> Iterator[MapFault]:
    """Yield every fault, each with its place in the map."""
    stated = form.changes
    if stated is None:
        return
    by_name = {one.name: one for one in form.dataset if not one.is_draft}
    at = ("changes", "datasets")
    for name in stated.datasets:
        if name not in by_name:
            yield MapFault(at, f"unknown dataset {name!r}", f"datasets of this map: {', '.join(sorted(by_name))}")
            continue
        for message in _unstated(stated, by_name[name]):
            yield MapFault(at, f"{name}: {message}", "leave it out: it is then compared by hashes")
    for name in () if stated.outbox is None else stated.outbox.names:
        if name not in stated.datasets:
            yield MapFault(("changes", "outbox", "names", name), f"{name!r} is not among the datasets of the changes")


def _unstated(stated: ChangesForm, dataset: SqlDatasetForm) -> Iterator[str]:
    """Yield why the changes of a dataset cannot be stated."""
    for name in dataset.key:
        if name in dataset.fields and (dataset.fields[name].type not in KEYS or dataset.fields[name].joined):
            yield f"the field {name!r} of its key is not a text or an integer of its own table"
    if stated.outbox is None and dataset.changed is None:
        yield "without an outbox it needs `changed`, the time of the last change"
    parent = dataset.part_of
    if parent is not None and parent.dataset not in stated.datasets:
        yield f"its rows are parts of rows of {parent.dataset!r}, which is not among the datasets of the changes"


def changes_of(form: SqlSourceForm, tables: Tables, lag_seconds: float = 0) -> SqlChanges | None:
    """Return how changes are read; None: the map states none.

    `lag_seconds` is how far a replica may be behind: what was committed in this time is not there at the position.
    """
    stated, declared = form.changes, declared_changes(form)
    if stated is None or declared is None:
        return None
    outbox = None if stated.outbox is None else _columns(stated.outbox, stated, form, tables)
    return SqlChanges(declared, timedelta(seconds=stated.overlap_seconds + lag_seconds), outbox)


def declared_changes(form: SqlSourceForm) -> DeclaredChanges | None:
    """Return what a map declares about changes, by its text alone."""
    stated = form.changes
    return None if stated is None else DeclaredChanges(stated.mode, frozenset(stated.datasets), stated.reconcile_days)


def _columns(outbox: OutboxForm, stated: ChangesForm, form: SqlSourceForm, tables: Tables) -> OutboxColumns:
    table = tables[outbox.table]
    found = {name: getattr(outbox, name) for name in ("transaction", "at", "tenant")}
    return OutboxColumns(
        table.c[outbox.dataset],
        table.c[outbox.key],
        **{name: None if column is None else table.c[column] for name, column in found.items()},
        names=_names(outbox, stated, form, tables),
    )


def _names(
    outbox: OutboxForm, stated: ChangesForm, form: SqlSourceForm, tables: Tables
) -> Mapping[str, frozenset[str]]:
    of_dataset = {one.name: tables[one.table] for one in form.dataset if one.name in stated.datasets}
    return {
        name: frozenset(outbox.names.get(name) or (table.name, table.fullname)) for name, table in of_dataset.items()
    }
