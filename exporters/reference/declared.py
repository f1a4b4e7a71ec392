"""The exporters of the reference platform: each is a map on the tables of its schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial

from exporters.reference.maps import TABLES, address_users, form_of, relations
from exporters.sql.exporter import SqlExporter
from exporters.sql.mapped.change_parts import changes_of
from exporters.sql.mapped.compiling import sources_of
from exporters.sql.mapped.documents import whole_of
from exporters.sql.mapped.identification import Identification, use_of
from exporters.sql.source import TableSource
from portability.api import Exporter, Sources


def open_declared(name: str, sources: Sources) -> Exporter:
    """Make the exporter of a map. Raises BadMap, and BadSetting for its hooks."""
    form = form_of(name)
    read = _sources_of(name)
    use = use_of(form, name, frozenset().union(*(relations().kinds(f"{name}/{one.name}") for one in form.dataset)))
    use = replace(use, permanent=True)  # the schema says so of its ids
    found = Identification(name, form, TABLES, relations(), address_users(), f"{name}/")
    finder, knower = found.find if use.finds else None, found.knows if found.can_tell else None
    changes = changes_of(form, TABLES)
    whole = whole_of(form, read)
    return SqlExporter(
        sources, *read, title=form.title, use=use, finder=finder, knower=knower, whole=whole, changes=changes
    )


@cache
def _sources_of(name: str) -> Sequence[TableSource]:
    return sources_of(form_of(name), TABLES, relations(), name)


account = partial(open_declared, "account")
billing = partial(open_declared, "billing")
calls = partial(open_declared, "calls")
chats = partial(open_declared, "chats")
configuration = partial(open_declared, "configuration")
cookies = partial(open_declared, "cookies")
crm = partial(open_declared, "crm")
devices = partial(open_declared, "devices")
inquiries = partial(open_declared, "inquiries")
interactions = partial(open_declared, "interactions")
marketing = partial(open_declared, "marketing")
performance = partial(open_declared, "performance")
trail = partial(open_declared, "trail")
usage = partial(open_declared, "usage")
