"""Faults of an SQL map in joined tables, in rows that are parts of other rows, and in conversations."""

from __future__ import annotations

from collections.abc import Iterator

from exporters.maps.reading import MapFault
from exporters.sql.mapped.documents import link_of
from exporters.sql.mapped.forms import ConversationsForm, SqlDatasetForm, SqlSourceForm

DOCUMENTS = "vcon"


def part_faults(form: SqlSourceForm) -> Iterator[MapFault]:
    """Yield every fault, each with its place in the map."""
    for place, dataset in enumerate(form.dataset):
        for fault in (*_parts(form, dataset), *_join(form, dataset)):
            yield MapFault(("dataset", place, *fault.path), fault.message, fault.hint)
    if form.conversations is not None:
        yield from _conversations(form, form.conversations)


def _parts(form: SqlSourceForm, dataset: SqlDatasetForm) -> Iterator[MapFault]:
    own = {one.name: one.table for one in form.dataset}
    for count, way in enumerate(way for way in dataset.exact_rows if way.part):
        at = ("rows", dataset.rows.index(way), "part")
        if way.dataset is None or way.through or way.only_if_null is not None:
            yield MapFault(at, "a `part` names a row of another dataset, without `through` and `only_if_null`")
        elif way.where:
            hint = "write them into `where` of the dataset, and the other rows of the table into another dataset"
            yield MapFault(at, "a `part` has no conditions of its own", hint)
        elif way.dataset not in own:
            yield MapFault(at, "a `part` belongs to a row of the same map")
        elif own[way.dataset] == dataset.table:
            yield MapFault(at, "a `part` belongs to a row of another table")
        if count:
            yield MapFault(at, "a `part` belongs to one other row")
    for number, way in enumerate(dataset.staff):
        if way.part:
            yield MapFault(("staff", number, "part"), "`part` is for `rows`")


def _join(form: SqlSourceForm, dataset: SqlDatasetForm) -> Iterator[MapFault]:
    own = {one.name: one.table for one in form.dataset}
    if dataset.join is not None and dataset.join.table == dataset.table:
        yield MapFault(("join", "table"), f"{dataset.table!r} is the table of the dataset itself")
    parent = None if dataset.part_of is None else own.get(dataset.part_of.dataset or "")
    if dataset.join is not None and dataset.join.table == parent:
        yield MapFault(("join", "table"), f"{parent!r} is the table of the row of which the row is a part")
    for name, field in dataset.fields.items():
        if field.joined is None:
            continue
        if dataset.join is None:
            yield MapFault(("fields", name, "joined"), "the dataset has no `join`")
        if name in dataset.key:
            yield MapFault(("fields", name, "joined"), "a field of the key is a column of the dataset's table")


def _conversations(form: SqlSourceForm, stated: ConversationsForm) -> Iterator[MapFault]:
    parent = next((one for one in form.dataset if one.name == stated.dataset), None)
    at = ("conversations", "dataset")
    if parent is None:
        yield MapFault(at, f"unknown dataset {stated.dataset!r}")
        return
    if any(one.name == DOCUMENTS for one in form.dataset):
        yield MapFault(at, f"the conversations are the dataset {DOCUMENTS!r}: give the other dataset another name")
    if parent.key != ("id",) or parent.order_columns[-1] != parent.column_of("id"):
        yield MapFault(at, f"the key of {parent.name!r} is the field `id`, and its column ends the order")
    parts = {one.name: one for one in form.parts(parent.name)}
    links = {link_of(one) for one in parts.values()}
    if len(links) > 1 or "" in links:
        yield MapFault(at, f"all parts of {parent.name!r} name it by a field with the same name")
    if stated.spoken not in parts or "text" not in parts[stated.spoken].fields:
        hint = "a part has a way with `part = true`"
        yield MapFault(("conversations", "spoken"), f"{stated.spoken!r} is not a part with a field `text`", hint)
