"""Imports for tests: with a key of their journal, and as the target that a test names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from receiver.binding.target import ImportTarget
from receiver.importer.archive_import import ImportOptions, import_archive
from receiver.importer.database import opened
from receiver.importer.report import ImportReport
from receiver.importer.undo import UndoReport, undo
from receiver.ledger.seals import JournalKey

KEY = JournalKey(Fernet.generate_key())
"""The operator's key in all tests."""


def import_as(folders: Sequence[Path], into: str, target: ImportTarget, **options: Any) -> ImportReport:
    """Import with the fields of `ImportOptions` as keywords."""
    return import_archive(folders, into, target, ImportOptions(**{"journal_key": KEY, **options}))


def undone(into: str, report: ImportReport, **options: Any) -> UndoReport:
    """Undo an import."""
    with opened(into, make=False) as engine:
        return undo(engine, report.import_id or "", KEY, **options)
