"""Faults of an SQL map in how it compares addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exporters.maps.reading import MapFault
from exporters.sql.mapped.forms import SqlDatasetForm, SqlSourceForm
from exporters.sql.mapped.way_forms import MemberRowsForm, RowsForm, SoleAddressRowsForm, WayForm


def people_faults(form: SqlSourceForm) -> Iterator[MapFault]:
    """Yield the ways that need people or accounts which the map does not state, and those that cannot lead to rows."""
    tables = {one.table for one in form.dataset}
    for part, stated in (("people", form.people), ("accounts", form.accounts)):
        if stated is not None and stated.table not in tables:
            hint = "records that a person must review are named by their dataset"
            yield MapFault((part, "table"), f"the table {stated.table!r} is not that of a dataset", hint)
    for path, dataset, way in form.ways():
        if not isinstance(way, RowsForm):
            yield from _way(form, path, dataset, way)


def _way(form: SqlSourceForm, path: Sequence[str | int], dataset: SqlDatasetForm, way: WayForm) -> Iterator[MapFault]:
    if isinstance(way, SoleAddressRowsForm):
        if form.accounts is None:
            yield MapFault((*path, "sole_address"), "the map states no accounts", "write [accounts]")
        return
    key = "members" if isinstance(way, MemberRowsForm) else "address"
    if form.people is None:
        yield MapFault((*path, key), "the map states no people", "write [people]")
    if dataset.tenant is None:
        yield MapFault((*path, key), f"{dataset.name!r} names no tenant", "people are those of a tenant")
    if len(dataset.key) > 1:
        yield MapFault((*path, key), f"the key of {dataset.name!r} has several fields: one identity names one row")
