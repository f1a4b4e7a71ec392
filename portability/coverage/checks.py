"""Checks sources: each compares its declaration with what it has; declarations of one database decide together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from portability.api import (
    STAFF_IDENTITY,
    CheckedDeclaration,
    CheckingExporter,
    Coverage,
    CoverageFinding,
    CoverageKind,
    Exporter,
)
from portability.api.errors import ExporterFault, PortabilityError, SourceError
from portability.api.names import storable
from portability.api.nouns import FIRST_IDENTITY
from portability.source_trust import may_find, use_of

NOT_DESCRIBED = Coverage(is_described=False)
"""Of an exporter that cannot compare: it is not known what else its source stores."""

NOT_CHECKED = CheckedDeclaration("")
"""Of an exporter that compares nothing."""
COLUMNS_MAX = 100_000
"""Columns that a finding counts at most."""
KNOWN_KINDS = frozenset({*(kind for _, kind in FIRST_IDENTITY.values()), STAFF_IDENTITY})
"""Kinds of identities that requests name, and that the platform finds itself."""


@dataclass(frozen=True, slots=True)
class CheckedSource:
    """The result of one check."""

    declaration: CheckedDeclaration
    coverage: Coverage


def declaration(exporter: Exporter) -> CheckedDeclaration:
    """Return what an exporter declares; NOT_CHECKED if it does not compare its declaration with its source.

    Raises: ExporterFault; and whatever a faulty exporter raises, already when it is looked at.
    """
    found: object = exporter.declaration if isinstance(exporter, CheckingExporter) else NOT_CHECKED
    if not isinstance(found, CheckedDeclaration) or not isinstance(found.sha256, str):
        raise ExporterFault(f"the declaration is a {type(found).__name__}")
    return found


def check(name: str, exporters: Mapping[str, Exporter]) -> CheckedSource:
    """Check one of the deployment's sources.

    Raises: SourceError; an exporter that raises or returns anything else violates its contract, which is SourceError,
    too.
    """
    exporter = exporters[name]
    try:
        declared = declaration(exporter)
        if declared is NOT_CHECKED or not isinstance(exporter, CheckingExporter):
            return CheckedSource(NOT_CHECKED, NOT_DESCRIBED)
        coverage = exporter.check().without_tables(_decided_elsewhere(name, declared, exporters))
        findings = (*coverage.findings, *_unfound(exporter, exporters.values()))
        return CheckedSource(declared, Coverage(tuple(map(_stored, findings)), bool(coverage.is_described)))
    except PortabilityError:
        raise
    except Exception as error:
        raise SourceError(f"{name}: the check raised {type(error).__name__}") from error


def _stored(finding: CoverageFinding) -> CoverageFinding:
    """Return a finding as the database can store it: names of columns may come from what a source answers."""
    table, column, dataset, detail = (
        storable(str(one)) for one in (finding.table, finding.column, finding.dataset, finding.detail)
    )
    columns = max(0, min(int(finding.columns), COLUMNS_MAX))
    return CoverageFinding(CoverageKind(finding.kind), table, column, dataset, columns, detail)


def _unfound(exporter: Exporter, others: Collection[Exporter]) -> Iterator[CoverageFinding]:
    """Yield a finding for each kind of identities by which a source selects and that no source finds.

    A kind that is written in another way selects nothing: for everyone, nothing would be stored here. Where a
    source does not declare what it finds, it may be any kind.
    """
    finds = [use_of(one).finds for one in others if may_find(one)]
    if None in finds:
        return
    found = KNOWN_KINDS.union(*(one or () for one in finds))
    for kind in sorted((use_of(exporter).selects_by or frozenset()) - found):
        detail = f"it selects by identities of the kind {kind!r}, which no source finds"
        yield CoverageFinding(CoverageKind.UNFIT, "", detail=detail)


def _decided_elsewhere(name: str, own: CheckedDeclaration, exporters: Mapping[str, Exporter]) -> frozenset[str]:
    """Return the tables of the same database on which other sources decide."""
    if not own.database:
        return frozenset()
    others = [one for key, exporter in exporters.items() if key != name for one in _declarations(exporter)]
    return frozenset(table for one in others if one.database == own.database for table in one.tables)


def _declarations(exporter: Exporter) -> Iterator[CheckedDeclaration]:
    """Yield the declaration of another source; a fault of it is found when that source is checked."""
    with suppress(Exception):
        yield declaration(exporter)
