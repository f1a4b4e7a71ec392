"""Exporters that compare what they declare with what a made-up source has, and files that declare them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from factories import MadeUpExporter

from portability.api import CheckedDeclaration, Coverage, CoverageFinding, CoverageKind


@dataclass
class CheckedExporter(MadeUpExporter):
    """Made-up records, and findings that a test chooses; `fault` is raised by the check."""

    found: Sequence[CoverageFinding] = ()
    fault: Exception | None = None
    declaration: CheckedDeclaration = field(default_factory=lambda: CheckedDeclaration("1" * 64))
    checks: int = 0

    def check(self) -> Coverage:
        self.checks += 1
        if self.fault is not None:
            raise self.fault
        return Coverage(tuple(self.found))


def undecided_column(name: str, dataset: str = "things") -> CoverageFinding:
    """A column of a dataset's table on which no one has decided."""
    return CoverageFinding(CoverageKind.UNDECIDED_COLUMN, dataset, name, dataset)


def undecided_table(name: str, columns: int) -> CoverageFinding:
    """A table on which no one has decided."""
    return CoverageFinding(CoverageKind.UNDECIDED_TABLE, name, columns=columns)


def sources_file(folder: Path, *names: str) -> Path:
    """A file of sources that declares these names; nothing opens its sections."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sources.toml"
    path.write_text("".join(f'[{name}]\nkind = "python"\n' for name in names))
    return path
