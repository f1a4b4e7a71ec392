"""Checks sources: each compares its declaration with what it has; declarations of one database decide together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from portability.api import (
    STAFF_IDENTITY,
    CheckedDeclaration,
    CheckingExporter,
    Coverage,
    CoverageFinding,
    CoverageKind,
    Exporter,
)
from portability.api.errors import PortabilityError, SourceError
from portability.api.nouns import FIRST_IDENTITY
from portability.source_trust import may_find, use_of

NOT_DESCRIBED = Coverage(is_described=False)
"""Of an exporter that cannot compare: it is not known what else its source stores."""

KNOWN_KINDS = frozenset({*(kind for _, kind in FIRST_IDENTITY.values()), STAFF_IDENTITY})
"""Kinds of identities that requests name, and that the platform finds itself."""


@dataclass(frozen=True, slots=True)
class CheckedSource:
    """The result of one check."""

    declaration: CheckedDeclaration
    coverage: Coverage


def is_checked(exporter: Exporter) -> bool:
    """Return whether an exporter compares its declaration with its source."""
    return isinstance(exporter, CheckingExporter)


def declaration(exporter: Exporter) -> CheckedDeclaration:
    """Return what an exporter that is checked declares; one of an empty hash if it is not checked."""
    return exporter.declaration if isinstance(exporter, CheckingExporter) else CheckedDeclaration("")


def check(name: str, exporters: Mapping[str, Exporter]) -> CheckedSource:
    """Check one of the deployment's sources.

    Raises: SourceError; an exporter that raises anything else violates its contract, which is SourceError, too.
    """
    exporter = exporters[name]
    if not isinstance(exporter, CheckingExporter):
        return CheckedSource(CheckedDeclaration(""), NOT_DESCRIBED)
    try:
        declared, coverage = exporter.declaration, exporter.check()
    except PortabilityError:
        raise
    except Exception as error:
        raise SourceError(f"{name}: the check raised {type(error).__name__}") from error
    left = coverage.without_tables(_decided_elsewhere(name, declared, exporters))
    return CheckedSource(declared, replace(left, findings=(*left.findings, *_unfound(exporter, exporters.values()))))


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
    others = (one.declaration for key, one in exporters.items() if key != name and isinstance(one, CheckingExporter))
    return frozenset(table for one in others if own.database and one.database == own.database for table in one.tables)
