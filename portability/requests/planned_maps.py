"""The maps that an export was planned with: their texts are stored once, and the export refers to them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select

from portability.api import SourceMap
from portability.api.errors import BadMap
from portability.database import models
from portability.database.engine import now
from portability.database.rows import inserting

TABLE = models.source_map
PlannedMaps = Mapping[str, Mapping[str, str]]
"""By exporter: `name` and `sha256` of its map."""


def store(connection: Connection, maps: Mapping[str, SourceMap]) -> PlannedMaps:
    """Store the texts that are not stored yet; returns what an export refers to."""
    texts = {one.sha256: {"sha256": one.sha256, "name": one.name, "text": one.text} for one in maps.values()}
    if texts:
        once = inserting(connection, TABLE).values(created_at=now()).on_conflict_do_nothing()
        connection.execute(once, list(texts.values()))
    return {exporter: {"name": one.name, "sha256": one.sha256} for exporter, one in maps.items()}


def load(connection: Connection, planned: PlannedMaps) -> Mapping[str, SourceMap]:
    """Load the maps that an export refers to, by exporter. Raises BadMap if a text is lost."""
    wanted = {one["sha256"] for one in planned.values()}
    rows = connection.execute(select(TABLE.c.sha256, TABLE.c.text).where(TABLE.c.sha256.in_(wanted)))
    texts = {row.sha256: row.text for row in rows}
    for exporter, one in planned.items():
        if one["sha256"] not in texts:
            raise BadMap(
                f"the text of the map {one['name']} of {exporter} is lost (SHA-256 {one['sha256']})",
                hint="this export was planned with it: cancel the export and request it again",
            )
    return {exporter: SourceMap(one["name"], texts[one["sha256"]]) for exporter, one in planned.items()}
