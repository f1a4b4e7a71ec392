"""The result of an import by dataset: nothing is left out silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace

from portability.api import JSON
from portability.api.names import storable
from receiver.binding.rows import Unbound
from receiver.importer.values import Reason

EXAMPLES = 20
"""Maximum number of refused records listed for each dataset; all are counted."""
IGNORED_FIELDS = 1_000
"""Maximum number of ignored fields listed for each dataset: each record of a stranger may have others."""
NAME_CHARACTERS = 200
"""Of an id or a field of an archive in a report; the rest is cut."""


def _shown(name: str) -> str:
    """Return an id or a field of a stranger as a report has it: of bounded length, and storable as JSON."""
    return storable(name[:NAME_CHARACTERS])


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that was refused or quarantined: its line, and why. Its id is opaque; none of its values is repeated."""

    line: int
    """Counted over all lines of the dataset, from 1."""
    id: str | None
    field: str | None
    reason: Reason | Unbound


@dataclass(frozen=True, slots=True)
class ConflictingRecord:
    """A record that was changed on both sides: the local row, and the columns. `on_conflict` has decided."""

    id: str
    fields: tuple[str, ...]
    is_deleted: bool = False
    """Whether the row was deleted here since an import made it."""


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
    kept: int = 0
    """Rows that differ from the archive and stay as they are here."""
    older: int = 0
    """Of the rows that are kept, those that an archive of a later time has brought, changed or deleted."""
    conflicts: int = 0
    """Rows with values that were changed on both sides; each is also counted as what was done with it."""
    deleted: int = 0
    """Rows whose record is gone at the sender, as an archive of a feed says."""
    altered: int = 0
    """Rows that a trigger of the target has stored with other values than the archive's; each is also counted above."""
    altered_fields: set[str] = field(default_factory=set)
    refused: Counter[Reason] = field(default_factory=Counter)
    quarantined: Counter[Unbound] = field(default_factory=Counter)
    examples: list[RefusedRecord] = field(default_factory=list)
    conflicting: list[ConflictingRecord] = field(default_factory=list)
    ignored_fields: set[str] = field(default_factory=set)
    not_imported: set[str] = field(default_factory=set)
    """Columns with values in the archive that only a mapping allows."""
    absent_columns: list[str] = field(default_factory=list)
    files: Files | None = None

    def refuse(self, record: RefusedRecord) -> None:
        """Count it, and list the first records."""
        if isinstance(record.reason, Unbound):
            self.quarantined[record.reason] += 1
        else:
            self.refused[record.reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(replace(record, id=_shown(record.id) if record.id else None))

    def ignore(self, fields: Collection[str]) -> None:
        """List fields that are not imported, up to a limit."""
        for name in fields:
            if len(self.ignored_fields) < IGNORED_FIELDS:
                self.ignored_fields.add(_shown(name))

    def conflict(self, record: ConflictingRecord) -> None:
        """Count it, and list the first records."""
        self.conflicts += 1
        if len(self.conflicting) < EXAMPLES:
            self.conflicting.append(record)

    def as_json(self) -> dict[str, JSON]:
        return {
            "exporter": self.exporter,
            "dataset": self.dataset,
            "table": self.table,
            "new": self.new,
            "same": self.same,
            "changed": self.changed,
            "deleted": self.deleted,
            "kept": self.kept,
            "older": self.older,
            "altered": self.altered,
            "altered_fields": sorted(self.altered_fields),
            "conflicts": self.conflicts,
            "refused": self.refused.total(),
            "quarantined": self.quarantined.total(),
            "reasons": {
                str(reason): count for reason, count in sorted([*self.refused.items(), *self.quarantined.items()])
            },
            "examples": [
                {"line": one.line, "id": one.id, "field": one.field, "reason": one.reason} for one in self.examples
            ],
            "conflicting": [
                {"id": one.id, "fields": list(one.fields), "deleted": one.is_deleted} for one in self.conflicting
            ],
            "ignored_fields": sorted(self.ignored_fields),
            "not_imported": sorted(self.not_imported),
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
    target: str = ""
    """As `ImportTarget.name`."""
    import_id: str | None = None
    """Names the import for undoing it; a dry run has no id."""
    datasets: list[DatasetResult] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    is_repeated: bool = False
    """Whether this archive was imported before, and nothing was changed; `import_id` is that import.

    Of an archive of a feed nothing is read again, and there is no id."""

    @property
    def refused(self) -> int:
        return sum(one.refused.total() for one in self.datasets)

    @property
    def quarantined(self) -> int:
        return sum(one.quarantined.total() for one in self.datasets)

    @property
    def conflicts(self) -> int:
        return sum(one.conflicts for one in self.datasets)

    def as_json(self) -> Mapping[str, JSON]:
        """Return the report in the form of the CLI contract."""
        return {
            "import": self.import_id,
            "target": self.target,
            "export": self.export,
            "profile": self.profile,
            "complete": self.complete,
            "gaps": self.gaps,
            "dry_run": self.dry_run,
            "repeated": self.is_repeated,
            "refused": self.refused,
            "quarantined": self.quarantined,
            "conflicts": self.conflicts,
            "datasets": [one.as_json() for one in self.datasets],
            "left": [{"exporter": one.exporter, "dataset": one.dataset, "reason": one.reason} for one in self.left],
        }
