"""Exporters of the reference platform that a map declares; the rest has modules of its own."""

from __future__ import annotations

from functools import partial

from exporters.reference import row_filters, schema
from exporters.reference.maps import form_of
from exporters.sql.exporter import SqlExporter
from exporters.sql.mapped.compiling import source_of
from portability.api import STAFF_IDENTITY, Exporter, Sources


def open_declared(name: str, sources: Sources) -> Exporter:
    """Make the exporter of a map. Raises BadMap, and BadSetting for its hooks."""
    form, tables = form_of(name), schema.metadata.tables
    read = [source_of(form, one, tables, row_filters.rows(f"{name}/{one.name}")) for one in form.dataset]
    by, has_staff = row_filters.selects_by(name), any(one.staff for one in form.dataset)
    if not has_staff:
        return SqlExporter(sources, *read, selects_by=by)
    find = row_filters.finder(name)
    return SqlExporter(sources, *read, selects_by=by, finder=find, finds=frozenset({STAFF_IDENTITY}))


billing = partial(open_declared, "billing")
configuration = partial(open_declared, "configuration")
cookies = partial(open_declared, "cookies")
devices = partial(open_declared, "devices")
interactions = partial(open_declared, "interactions")
performance = partial(open_declared, "performance")
trail = partial(open_declared, "trail")
usage = partial(open_declared, "usage")
