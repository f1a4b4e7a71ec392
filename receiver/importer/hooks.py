"""Hooks for datasets that the reference schema does not know: a function makes records of known datasets from them.

What a hook returns is treated as the archive's own records: bound to the target, by the import table, with a journal.
Hooks are entry points of the group `portability.import_hooks`, named `exporter.dataset`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import TypeAlias

from portability.api import JSON
from portability.api.errors import BrokenPlugin
from receiver.binding.rows import kinds_of
from receiver.binding.tables import TABLES
from receiver.importer.records import ImportedDataset, ImportJob, checked_records
from receiver.importer.report import DatasetResult, RefusedRecord
from receiver.importer.values import Reason

GROUP = "portability.import_hooks"
ImportHook: TypeAlias = Callable[[Mapping[str, JSON]], Iterable[tuple[str, Mapping[str, JSON]]]]
"""Called with a record; returns `exporter/dataset` of the reference schema and a record of it, any number of times."""
Hooks: TypeAlias = Mapping[tuple[str, str], ImportHook]


def installed_hooks() -> Hooks:
    """Load the installed hooks, by exporter and dataset. Raises BrokenPlugin."""
    found: dict[tuple[str, str], ImportHook] = {}
    for entry in entry_points(group=GROUP):
        exporter, _, dataset = entry.name.partition(".")
        try:
            found[exporter, dataset] = entry.load()
        except Exception as error:
            raise BrokenPlugin(f"{GROUP} plug-in {entry.name!r} failed to load: {type(error).__name__}") from error
    return found


class HookedDataset:
    """The import of one dataset through a hook."""

    def __init__(self, job: ImportJob, exporter: str, dataset: str, hook: ImportHook) -> None:
        self._job = job
        self._hook = hook
        self._own = DatasetResult(exporter, dataset, "")
        """Of the dataset itself: the records at which the hook has failed."""
        self._imports: dict[str, ImportedDataset] = {}

    def run(self) -> list[DatasetResult]:
        """Import all records; returns the results of the dataset and of those into which the hook has made records."""
        for line, (record, size) in enumerate(checked_records(self._job, self._own), 1):
            if isinstance(record, Reason):
                self._own.refuse(RefusedRecord(line, None, None, record))
                continue
            try:
                made = [(self._of(dataset), dict(one)) for dataset, one in self._hook(record)]
            except Exception:  # noqa: BLE001  # of third-party code; its text may repeat values
                identifier = record.get("id")
                known = identifier if isinstance(identifier, str) else None
                self._own.refuse(RefusedRecord(line, known, None, Reason.HOOK_FAILED))
                continue
            for imported, one in made:
                imported.take(line, one, size)
        for imported in self._imports.values():
            imported.finish()
        return [self._own, *(imported.taken for imported in self._imports.values())]

    def _of(self, dataset: str) -> ImportedDataset:
        """Return the import into a dataset. Raises KeyError if archives of this kind do not bring it."""
        if dataset not in self._imports:
            exporter, _, name = dataset.partition("/")
            table = TABLES[exporter, name]
            if self._job.write.target.kind not in kinds_of(table.name):
                raise KeyError(dataset)
            self._imports[dataset] = ImportedDataset(self._job, table, DatasetResult(exporter, name, table.name))
        return self._imports[dataset]
