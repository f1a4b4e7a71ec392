"""The result of an import by dataset: nothing is left out silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from portability.api import JSON
from receiver.importer.values import Reason

EXAMPLES = 20
"""Maximum number of refused records listed for each dataset; all are counted."""


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that was refused: its line, and why. Its id is opaque; none of its values is repeated."""

    line: int
    """Counted over all lines of the dataset, from 1."""
    id: str | None
    field: str | None
    reason: Reason


@dataclass(slots=True)
class Files:
    """Recordings or attachments of a dataset."""

    new: int = 0
    same: int = 0
    missing: int = 0
    """The record has no file in the archive."""
    truncated: int = 0
    """Imported incompletely: their source failed when the archive was made."""
    left: int = 0
    """Not imported, because no storage was given."""

    def as_json(self) -> dict[str, JSON]:
        return asdict(self)


@dataclass(slots=True)
class DatasetResult:
    """The result of one dataset."""

    exporter: str
    dataset: str
    table: str
    new: int = 0
    same: int = 0
    changed: int = 0
    refused: Counter[Reason] = field(default_factory=Counter)
    examples: list[RefusedRecord] = field(default_factory=list)
    ignored_fields: set[str] = field(default_factory=set)
    absent_columns: list[str] = field(default_factory=list)
    files: Files | None = None

    def refuse(self, record: RefusedRecord) -> None:
        """Count it, and list the first records."""
        self.refused[record.reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(record)

    def as_json(self) -> dict[str, JSON]:
        return {
            "exporter": self.exporter,
            "dataset": self.dataset,
            "table": self.table,
            "new": self.new,
            "same": self.same,
            "changed": self.changed,
            "refused": self.refused.total(),
            "reasons": {str(reason): count for reason, count in sorted(self.refused.items())},
            "examples": [
                {"line": one.line, "id": one.id, "field": one.field, "reason": one.reason} for one in self.examples
            ],
            "ignored_fields": sorted(self.ignored_fields),
            "absent_columns": list(self.absent_columns),
            "files": None if self.files is None else self.files.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Left:
    """Data in the archive that is not imported."""

    exporter: str
    dataset: str
    reason: str


@dataclass(slots=True)
class ImportReport:
    """The whole import. `export` and `profile` are the archive's; `complete` and `gaps` are its own statements."""

    export: str
    profile: str
    complete: bool
    gaps: int
    dry_run: bool
    datasets: list[DatasetResult] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    @property
    def refused(self) -> int:
        return sum(one.refused.total() for one in self.datasets)

    def as_json(self) -> Mapping[str, JSON]:
        """Return the report in the form of the CLI contract."""
        return {
            "export": self.export,
            "profile": self.profile,
            "complete": self.complete,
            "gaps": self.gaps,
            "dry_run": self.dry_run,
            "refused": self.refused,
            "datasets": [one.as_json() for one in self.datasets],
            "left": [{"exporter": one.exporter, "dataset": one.dataset, "reason": one.reason} for one in self.left],
        }
