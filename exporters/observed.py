"""Datasets that the platform fills by itself while an account holder uses it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table

from exporters import walls
from exporters.retention import ACCOUNT
from exporters.source import Named, Source, source
from portability.api import Provenance, Role


def observed(table: Table, name: str, title: str, description: str, *, columns: Sequence[Named]) -> Source:
    """A user's own rows of a table with `user_id`, held as a controller."""
    return source(
        table,
        name,
        title,
        description,
        columns=columns,
        provenance=Provenance.OBSERVED,
        role=Role.CONTROLLER,
        kinds=walls.USERS,
        where=walls.owned(user=table.c.user_id),
        retention=ACCOUNT,
    )
