"""An export is read by the maps with which it was planned, even if their files have changed since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import RowMapping

from portability.api import SourceMap
from portability.database.engine import reading
from portability.requests import planned_maps
from portability.requests.planned_maps import PlannedMaps
from portability.sources import DeclaredExporters
from worker.context import WorkerContext


def as_planned(context: WorkerContext, export: RowMapping) -> WorkerContext:
    """Return the context with the exporters of a planned export. Raises BadMap, BadSetting."""
    planned: PlannedMaps = export["maps"] or {}
    current = context.exporters
    if not isinstance(current, DeclaredExporters):
        return context
    now = {exporter: one.sha256 for exporter, one in current.maps.items()}
    # A section that is gone, or whose source has another kind now, has its own fault.
    changed = {exporter: one for exporter, one in planned.items() if now.get(exporter, one["sha256"]) != one["sha256"]}
    if not changed:
        return context
    with reading(context.engine) as connection:
        maps = planned_maps.load(connection, changed)
    return replace(context, exporters=current.with_maps(maps))


def to_store(context: WorkerContext, export: RowMapping) -> Mapping[str, SourceMap]:
    """Return the maps to which an export refers from its plan on, by exporter; empty if it refers to maps already."""
    if export["maps"] is not None or not isinstance(context.exporters, DeclaredExporters):
        return {}
    return context.exporters.maps
