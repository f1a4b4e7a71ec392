"""From items of a source to records of a dataset: only what the map lists is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from exporters.http import times
from exporters.http.expressions import find, finder
from exporters.http.forms import HttpDatasetForm, HttpFieldForm, HttpRetentionForm, HttpSourceForm, TimesForm
from exporters.http.hooks import Hooks
from exporters.http.matching import PARENT
from exporters.http.values import converter
from exporters.maps.forms import dataset_of
from portability import api
from portability.api import JSON, Dataset, FieldType, Gap, Record, RowRemark, Selection
from portability.api.errors import ExporterFault, SourceRefused

FILE = "file"
FILE_TEXT = "Name of the file beside the records, inside the folder of this dataset; null where there is no file."
NOT_JSON = "not_json"
"""The reason of a gap for a value that its declared type cannot represent."""

FieldReader: TypeAlias = Callable[[Any, Record], JSON]
"""Reads a field from an item and the record of its parent. Raises ValueError."""


@dataclass(frozen=True, slots=True)
class MadeRecord:
    """A record, and what is remarkable about it."""

    record: dict[str, JSON] = field(repr=False)
    item: Any = field(repr=False)
    gaps: Sequence[Gap] = ()
    remarks: Sequence[RowRemark] = ()
    withheld: Sequence[str] = ()


class RecordMaker:
    """Makes the records of one dataset."""

    def __init__(self, source: HttpSourceForm, form: HttpDatasetForm, hooks: Hooks) -> None:
        self.form = form
        self.dataset = _dataset(source, form)
        self._times = source.times
        self._hooks = hooks
        self._readers = {name: _reader(one.at or name, one, source.times) for name, one in form.fields.items()}
        self._retention = form.retention or HttpRetentionForm()

    def prepared(self, item: Any, parent: Record) -> Any:  # noqa: ANN401  # any JSON value
        """Return an item after the hook `record`. Raises ExporterFault for what is not an object."""
        if self._hooks.record is None or not isinstance(item, Mapping):
            return item
        changed = self._hooks.record(item, parent)
        if not isinstance(changed, Mapping):
            raise ExporterFault(f"{self.form.name}: the hook `record` returned a {type(changed).__name__}")
        return dict(changed)

    def key(self, item: Any, parent: Record) -> tuple[str, ...]:  # noqa: ANN401  # as above
        """Return the values of the key as texts. Raises SourceRefused if one is missing."""
        values = []
        for name in self.form.key:
            try:
                value = self._readers[name](item, parent)
            except ValueError:
                value = None
            if value in (None, ""):
                raise SourceRefused(f"{self.form.name}: a record has no {name}, which identifies it")
            values.append(str(value))
        return tuple(values)

    def made(self, item: Any, parent: Record, selection: Selection) -> MadeRecord:  # noqa: ANN401  # as above
        """Return the record of an item. Raises SourceRefused, ExporterFault."""
        record: dict[str, JSON] = {}
        faulty: list[str] = []
        for name, read in self._readers.items():
            try:
                record[name] = read(item, parent)
            except ValueError:
                record[name] = None
                faulty.append(name)
        if self.form.file is not None:
            record[FILE] = None
        key = tuple(record[name] for name in self.form.key)
        if any(not isinstance(value, str | int) for value in key):
            raise SourceRefused(f"{self.form.name}: a record has a key that is neither text nor integer")
        named = f"{self.form.name}/{'-'.join(map(str, key))}" if faulty else ""
        gaps = [Gap(f"{named}/{name}", NOT_JSON, key=key, fields=(name,)) for name in faulty]  # type: ignore[arg-type]  # checked above
        remarks = self._remarks(item, record, selection)
        withheld = [name for name, one in self.form.withheld.items() if self._has(one.at or name, item)]
        return MadeRecord(record, item, gaps, remarks, withheld)

    def created(self, item: Any, parent: Record) -> datetime | None:  # noqa: ANN401  # as above
        """Return the creation time of an item; None: it has no such time."""
        if self.form.created is None:
            return None
        try:
            found = self._readers[self.form.created](item, parent)
        except ValueError:
            return None
        return datetime.fromisoformat(str(found)) if found is not None else None

    def _has(self, at: str, item: Any) -> bool:  # noqa: ANN401  # as above
        try:
            return find(at, item) not in (None, "", [], {})
        except ValueError:
            return True

    def _remarks(self, item: Any, record: Record, selection: Selection) -> list[RowRemark]:  # noqa: ANN401  # as above
        moment = selection.began_at or datetime.now(UTC)
        remarks = []
        if self.form.deleted is not None and _is_true(self.form.deleted, item):
            remarks.append(RowRemark.SOFT_DELETED)
        created = record.get(self.form.created) if self.form.created else None
        at = datetime.fromisoformat(created) if isinstance(created, str) else None
        if at is not None and at > datetime.now(UTC):
            remarks.append(RowRemark.CREATED_IN_FUTURE)
        if self._is_past(item, at, selection.retention_cutoff, moment):
            remarks.append(RowRemark.PAST_RETENTION)
        return remarks

    def _is_past(self, item: Any, created: datetime | None, cutoff: datetime | None, moment: datetime) -> bool:  # noqa: ANN401  # as above
        """Return whether the period of an item is over: its own, or that of the register."""
        retention = self._retention
        if retention.hold is not None and _is_true(retention.hold, item):
            return False
        since, until = self._time(retention.since, item) or created, self._time(retention.until, item)
        is_over = until is not None and until <= moment
        return is_over or (since is not None and cutoff is not None and since <= cutoff)

    def _time(self, at: str | None, item: Any) -> datetime | None:  # noqa: ANN401  # as above
        try:
            stated = find(at, item) if at is not None else None
            return times.parse(stated, self._times.format, self._times.zone) if stated is not None else None
        except ValueError:
            return None


def _reader(at: str, one: HttpFieldForm, source_times: TimesForm) -> FieldReader:
    """Return the function that reads a field from an item and the record of its parent. It raises ValueError."""
    form = source_times if one.time is None else source_times.model_copy(update={"format": one.time})
    convert, name = converter(one.type, form), at.removeprefix(PARENT)
    if not at.startswith(PARENT):
        find_value = finder(at)
        return lambda item, _parent: convert(find_value(item))
    if one.type is FieldType.DATETIME:
        return lambda _item, parent: parent.get(name)  # it is converted already
    return lambda _item, parent: convert(parent.get(name))


def _is_true(at: str, item: Any) -> bool:  # noqa: ANN401  # any JSON value
    try:
        return bool(find(at, item))
    except ValueError:
        return False


def _dataset(source: HttpSourceForm, form: HttpDatasetForm) -> Dataset:
    fields = [one.field(name, one.type, form.provenance) for name, one in form.fields.items()]
    if form.file is not None:
        fields.append(api.Field(FILE, FieldType.STRING, FILE_TEXT, form.provenance))
    return dataset_of(source, form, tuple(fields), form.withheld)
