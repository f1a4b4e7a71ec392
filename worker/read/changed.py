"""What an archive of a feed reads: the records that may have changed, where sources state it, or everything.

The changes that sources state are used only if nothing beside the rows has changed what is delivered: identities,
instructions, decisions, maps, rules and this software are the scope. Otherwise everything is compared by hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version

import orjson
import structlog
from sqlalchemy import RowMapping

from portability.api import JSON, ChangingExporter, Dataset, DeclaredChanges, Exporter, RecordKey
from portability.database import deployment
from portability.database.engine import reading
from portability.feeds import feeds
from portability.feeds.parts import FeedKey
from portability.feeds.steps import FeedProgress, FeedStep, TouchedRecords
from portability.requests.states import DatasetState
from portability.settings import Settings
from portability.sources import DeclaredExporters
from worker.context import WorkerContext
from worker.plan.plan import ExportPlan, PlanLine
from worker.read.reader import SourcePatience

log = structlog.get_logger()
TOUCHED_MAX = 100_000
"""Keys that an archive reads one by one; if more have changed, comparing everything costs less."""
DISTRIBUTION = "vlint-portability"


@dataclass(frozen=True, slots=True)
class CoveredLine:
    """A line of the plan whose changes its source states."""

    line: PlanLine
    exporter: ChangingExporter
    declared: DeclaredChanges

    @property
    def names(self) -> tuple[str, str]:
        """Return its exporter and dataset."""
        return self.line.exporter, self.line.dataset.name


def covered(
    plan: ExportPlan, exporters: Mapping[str, Exporter], unresolved: Collection[str], patience: SourcePatience
) -> Sequence[CoveredLine]:
    """Return the lines whose changes sources state; `unresolved` are exporters that do not know the whole subject."""
    found: list[CoveredLine] = []
    for line in plan.lines:
        if line.state is DatasetState.PENDING and line.exporter not in unresolved:
            stating = partial(_stating, line, exporters[line.exporter])
            found += patience.once(f"{line.exporter}: changes", stating).value or ()
    return found


def _stating(line: PlanLine, exporter: Exporter) -> Sequence[CoveredLine]:
    """Return the line if its source states changes of it."""
    if not isinstance(exporter, ChangingExporter):
        return ()
    declared = exporter.changes
    is_covered = isinstance(declared, DeclaredChanges) and line.dataset.name in declared.datasets
    return (CoveredLine(line, exporter, declared),) if declared and is_covered else ()


def decide(
    context: WorkerContext, export: RowMapping, lines: Sequence[CoveredLine], patience: SourcePatience, reviewed: int
) -> tuple[FeedKey, FeedStep] | None:
    """Decide how the next archive of a feed is read; None: no source states changes.

    `reviewed` is the number of the last decision on reviews. Raises: UnknownFeed, FeedEnded, NoSigningKey.
    """
    if not lines:
        return None
    with reading(context.engine) as connection:
        row = feeds.get(connection, export["feed_id"])
        at = deployment.clock_of(connection)
    key = FeedKey.unsealed(row, context.settings.keys)
    scope = key.hashes([orjson.dumps(_scope(context, lines, export, reviewed), option=orjson.OPT_SORT_KEYS)])[0].hex()
    # First the positions: what changes while the changes are read comes with the next archive.
    horizon = _horizons(lines, patience)
    last = None if row["progress"] is None else FeedProgress.of(row["progress"])
    touched = None
    if last is not None and _follows(last, lines, row["number"], scope, at):
        touched = _touched(lines, last, last.records_again(key), patience)
    compared_at = at if touched is None or last is None else last.compared_at
    progress = FeedProgress(row["number"] + 1, horizon, scope, compared_at)
    modes = {} if touched is None else {one.line.exporter: str(one.declared.mode) for one in lines}
    log.info("feed.planned", feed=row["id"], export=export["id"], by_changes=touched is not None)
    return key, FeedStep(frozenset(one.names for one in lines), progress, modes, touched or ())


def _follows(last: FeedProgress, lines: Sequence[CoveredLine], number: int, scope: str, at: datetime) -> bool:
    """Return whether changes alone say what the next archive contains."""
    days = min(one.declared.reconcile_days for one in lines)
    has_positions = last.horizon.keys() >= {one.line.exporter for one in lines}
    return last.number == number > 0 and last.scope == scope and has_positions and not last.is_due(days, at)


def _horizons(lines: Sequence[CoveredLine], patience: SourcePatience) -> Mapping[str, JSON]:
    found: dict[str, JSON] = {}
    for name, exporter in {one.line.exporter: one.exporter for one in lines}.items():
        answer = patience.once(f"{name}: horizon()", partial(_stated, exporter.horizon))
        if not answer.error:
            found[name] = answer.value
    return found


def _stated(call: Callable[[], JSON]) -> JSON:
    """Return a value of JSON from a source. Raises TypeError for another value, and what the source raises."""
    value: JSON = orjson.loads(orjson.dumps(call()))
    return value


def given_keys(given: object, dataset: Dataset) -> Collection[RecordKey] | None:
    """Return keys from a source as they are written; None: it cannot say them. Raises TypeError for other values."""
    if not isinstance(given, Collection) or isinstance(given, str | bytes | Mapping):
        return None
    keys = {tuple(one) for one in given}
    if any(len(one) != len(dataset.key) for one in keys):
        raise TypeError
    orjson.dumps([*keys])
    return keys


def _touched(
    lines: Sequence[CoveredLine],
    last: FeedProgress,
    again: Mapping[tuple[str, str], Collection[RecordKey]],
    patience: SourcePatience,
) -> Sequence[TouchedRecords] | None:
    """Return the records that may have changed, with those that lacked a value; None: a source cannot say it."""
    found: list[TouchedRecords] = []
    left = TOUCHED_MAX
    for one in lines:
        line, since = one.line, last.horizon[one.line.exporter]

        def ask(one: CoveredLine = one, since: JSON = since, limit: int = left) -> Collection[RecordKey] | None:
            return given_keys(one.exporter.changed(one.line.subject, one.line.dataset, since, limit), one.line.dataset)

        answer = patience.once(line.name, ask)
        keys = None if answer.error is not None else answer.value
        if keys is None or len(keys) > left:
            return None
        left -= len(keys)
        whole = {*keys, *again.get(one.names, ())}
        found.append(TouchedRecords(*one.names, line.dataset.key, sorted(whole, key=orjson.dumps)))
    return found


def _scope(context: WorkerContext, lines: Sequence[CoveredLine], export: RowMapping, reviewed: int) -> JSON:
    """Return everything beside the rows that decides what is delivered of these lines."""
    maps = context.exporters.maps if isinstance(context.exporters, DeclaredExporters) else {}
    return [
        version(DISTRIBUTION),
        reviewed,
        _rules(context.settings, export["profile"]),
        [[*_of_line(one.line), maps[one.line.exporter].sha256 if one.line.exporter in maps else ""] for one in lines],
    ]


def _rules(settings: Settings, profile: str) -> JSON:
    return [profile, str(settings.scan_actions), settings.scan_canaries, sorted(law.name for law in settings.laws)]


def _of_line(line: PlanLine) -> Sequence[JSON]:
    found = {(one.kind, one.value, one.tenant or "", one.verified, one.source) for one in line.subject.identities}
    identities: JSON = [list(one) for one in sorted(found)]
    fields: JSON = [[field.name, field.type, field.person] for field in line.dataset.fields]
    return [line.name, line.subject.tenant, identities, fields, list(line.withdrawn)]
