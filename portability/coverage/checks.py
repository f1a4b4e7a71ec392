"""Checks sources: each compares its declaration with what it has; declarations of one database decide together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portability.api import CheckedDeclaration, CheckingExporter, Coverage, Exporter
from portability.api.errors import PortabilityError, SourceError

NOT_DESCRIBED = Coverage(is_described=False)
"""Of an exporter that cannot compare: it is not known what else its source stores."""


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
    return CheckedSource(declared, coverage.without_tables(_decided_elsewhere(name, declared, exporters)))


def _decided_elsewhere(name: str, own: CheckedDeclaration, exporters: Mapping[str, Exporter]) -> frozenset[str]:
    """Return the tables of the same database on which other sources decide."""
    others = (one.declaration for key, one in exporters.items() if key != name and isinstance(one, CheckingExporter))
    return frozenset(table for one in others if own.database and one.database == own.database for table in one.tables)
