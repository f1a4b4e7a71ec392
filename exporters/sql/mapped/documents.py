"""The conversations of a map: each with all its parts as one record, in a shape that a hook makes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Table, and_, false

from exporters.maps.hooks import load_hook
from exporters.sql import conversations
from exporters.sql.conversations import ConversationShape, Whole
from exporters.sql.mapped.forms import ConversationsForm, SqlDatasetForm, SqlSourceForm
from exporters.sql.source import TableSource
from exporters.sql.tenants import same_tenant
from portability.api import Dataset


def documents_of(form: SqlSourceForm, stated: ConversationsForm) -> Dataset:
    """Return the dataset of the conversations."""
    parent = next(one for one in form.dataset if one.name == stated.dataset)
    return conversations.dataset(
        stated.title,
        stated.description,
        provenance=parent.provenance,
        role=parent.role or form.role,
        kinds=parent.kinds or form.kinds,
        of_staff=bool(parent.staff),
    )


def whole_of(form: SqlSourceForm, sources: Sequence[TableSource]) -> Whole | None:
    """Return how the conversations are put together; None if the map states none.

    Raises: BadSetting, DuplicatePlugin, BrokenPlugin for the hook.
    """
    stated = form.conversations
    if stated is None:
        return None
    by_name, parts = {one.dataset.name: one for one in sources}, form.parts(stated.dataset)
    shape: ConversationShape = load_hook(stated.shape)
    parent, spoken = by_name[stated.dataset], by_name[stated.spoken]
    forms = {one.name: one for one in form.dataset}
    joined = of_parent(forms[stated.spoken], spoken.table, forms[stated.dataset], parent.table)
    return Whole(
        dataset=documents_of(form, stated),
        parent=parent,
        parts={one.name: by_name[one.name] for one in parts},
        link=link_of(parts[0]),
        spoken=stated.spoken,
        joined=joined,
        shape=shape,
    )


def of_parent(part: SqlDatasetForm, table: Table, parent: SqlDatasetForm, parents: Table) -> ColumnElement[bool]:
    """Return the condition that a row of a part belongs to a row of its parent; both name the same tenant."""
    if part.part_of is None:
        return false()
    same = [table.c[part.part_of.column] == parents.c[part.part_of.key]]
    if part.tenant is not None and parent.tenant is not None:
        same.append(same_tenant(table.c[part.tenant], parents.c[parent.tenant]))
    return and_(*same)


def link_of(part: SqlDatasetForm) -> str:
    """Return the field of a part that refers to the conversation; empty if it is not a field."""
    column = "" if part.part_of is None else part.part_of.column
    return next((name for name, own in part.own_columns.items() if own == column), "")
