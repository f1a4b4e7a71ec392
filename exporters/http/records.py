"""From items of a source to records of a dataset: only what the map lists is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import repeat
from operator import itemgetter
from typing import Any

from exporters.http.columns import Column, column_reader
from exporters.http.expressions import find
from exporters.http.forms import HttpDatasetForm, HttpSourceForm
from exporters.http.hooks import Hooks
from exporters.http.matching import PARENT
from exporters.http.moments import SourceMoments
from exporters.http.truth import says_yes
from exporters.maps.forms import dataset_of
from portability import api
from portability.api import JSON, Dataset, FieldType, Gap, Record, RowRemark, Selection
from portability.api.errors import ExporterFault, SourceRefused
from portability.api.times import microseconds

ALL = Selection()
FILE = "file"
FILE_TEXT = "Name of the file beside the records, inside the folder of this dataset; null where there is no file."
EARLIEST, LATEST = "", "~"
"""Texts before and behind all times: their order as texts is that of the times."""
NOT_JSON = "not_json"
"""The reason of a gap for a value that its declared type cannot represent."""


@dataclass(frozen=True, slots=True)
class MadeRecords:
    """Records of items of one page, and what is remarkable about them, by their numbers."""

    records: Sequence[dict[str, JSON]] = field(repr=False)
    items: Sequence[Any] = field(repr=False)
    gaps: Sequence[Gap] = ()
    remarks: Mapping[RowRemark, Sequence[int]] = field(default_factory=dict)
    withheld: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """By the names of all that the dataset withholds: which items have it."""


class RecordMaker:
    """Makes the records of one dataset."""

    def __init__(self, source: HttpSourceForm, form: HttpDatasetForm, hooks: Hooks) -> None:
        self.form = form
        self.dataset = _dataset(source, form)
        self._moments = SourceMoments(source.times)
        self._hooks = hooks
        self._readers = {name: column_reader(one.at or name, one, source.times) for name, one in form.fields.items()}

    def prepared(self, items: Sequence[Any], parent: Record) -> Sequence[Any]:
        """Return items after the hook `record`. Raises ExporterFault for what is not an object."""
        return [self._changed(item, parent) for item in items] if self._hooks.record else items

    def _changed(self, item: Any, parent: Record) -> Any:  # noqa: ANN401  # any JSON value
        if self._hooks.record is None or not isinstance(item, Mapping):
            return item
        changed = self._hooks.record(item, parent)
        if not isinstance(changed, Mapping):
            raise ExporterFault(f"{self.form.name}: the hook `record` returned a {type(changed).__name__}")
        return dict(changed)

    def keys(self, items: Sequence[Any], parent: Record) -> list[tuple[str, ...]]:
        """Return the values of each item's key as texts. Raises SourceRefused if one is missing."""
        columns = []
        for name in self.form.key:
            values, _faulty = self._readers[name](items, parent)
            if None in values or "" in values:
                raise SourceRefused(f"{self.form.name}: a record has no {name}, which identifies it")
            columns.append(map(str, values))
        return list(zip(*columns, strict=True))

    def missing(self, asked: Sequence[str], keys: Sequence[Sequence[str]], parent: Record) -> list[str]:
        """Return the names of the records of asked ids that no key of an answer has.

        A field of the parent in a key is not an id of the record: it is the same for all of them. A key of such fields
        alone names one record of the parent, whatever its id is.
        """
        own = self._own
        given = {key[number] for key in keys for number in own}
        left = [one for one in asked if one not in given]
        if not own:
            left = [] if keys else left[:1]
        if len(own) > 1:
            return left
        of_parent = [str(self._readers[name]([None], parent)[0][0]) for name in self.form.key]
        return ["-".join(one if n in own else value for n, value in enumerate(of_parent)) for one in left]

    def asked_for(self, items: Sequence[Any], asked: Sequence[str], parent: Record) -> Sequence[int]:
        """Return the numbers of the items of which a field of the key is one of the asked ids. Raises as `keys`."""
        own = self._own
        keys = self.keys(items, parent)
        return [n for n, key in enumerate(keys) if not own or {key[one] for one in own} & {*asked}]

    @property
    def _own(self) -> Sequence[int]:
        """Return the numbers of the fields of the key that are the record's own."""
        fields = [self.form.fields[name] for name in self.form.key]
        return [number for number, one in enumerate(fields) if not (one.at or "").startswith(PARENT)]

    def created(self, items: Sequence[Any], parent: Record) -> Sequence[str | None]:
        """Return the creation time of each item with microseconds in UTC; None: it has no such time."""
        if self.form.created:
            return _texts(self._readers[self.form.created](items, parent)[0])
        return [None] * len(items)

    def made(self, items: Sequence[Any], parent: Record, selection: Selection = ALL) -> MadeRecords:
        """Return the records of the items that were created within the wanted time. Raises SourceRefused."""
        if selection.since is not None or selection.until is not None:
            within = _within(self.created(items, parent), selection)
            items = [items[number] for number in within]
        columns = {name: read(items, parent) for name, read in self._readers.items()}
        self._check_keys(columns)
        # Without a step of the interpreter for each record.
        rows = zip(*(values for values, _faulty in columns.values()), strict=True)
        records: list[dict[str, JSON]] = list(map(dict, map(zip, repeat(tuple(columns)), rows)))
        if self.form.file is not None:
            for record in records:
                record[FILE] = None
        withheld = {
            name: [number for number, item in enumerate(items) if _has(one.at or name, item)]
            for name, one in self.form.withheld.items()
        }
        created = columns[self.form.created][0] if self.form.created else [None] * len(items)
        remarks = self._remarks(items, _texts(created), selection)
        return MadeRecords(records, items, self._gaps(records, columns), remarks, withheld)

    def _check_keys(self, columns: Mapping[str, Column]) -> None:
        if not {str, int, bool}.issuperset(type(value) for name in self.form.key for value in columns[name][0]):
            raise SourceRefused(f"{self.form.name}: a record has a key that is neither text nor integer")

    def _gaps(self, records: Sequence[Record], columns: Mapping[str, Column]) -> list[Gap]:
        """Return a gap for each value that does not fit, in the order of the records."""
        gaps = []
        found = [(number, name) for name, (_values, faulty) in columns.items() for number in faulty]
        for number, name in sorted(found, key=itemgetter(0)):
            key = tuple(records[number][one] for one in self.form.key)
            what = f"{self.form.name}/{'-'.join(map(str, key))}/{name}"
            gaps.append(Gap(what, NOT_JSON, key=key, fields=(name,)))  # type: ignore[arg-type]  # the keys were checked
        return gaps

    def _remarks(
        self, items: Sequence[Any], created: Sequence[str | None], selection: Selection
    ) -> dict[RowRemark, list[int]]:
        present = datetime.now(UTC)
        now = microseconds(max(present, selection.began_at or present))  # the clock of this machine may be behind
        deleted = self.form.deleted
        found = {
            RowRemark.SOFT_DELETED: [
                number for number, item in enumerate(items) if deleted and self._is_true(deleted, item)
            ],
            RowRemark.CREATED_IN_FUTURE: [number for number, at in enumerate(created) if at is not None and at > now],
            RowRemark.PAST_RETENTION: self._past(items, created, selection),
        }
        return {remark: numbers for remark, numbers in found.items() if numbers}

    def _past(self, items: Sequence[Any], created: Sequence[str | None], selection: Selection) -> list[int]:
        """Return the numbers of the items whose period is over: their own, or that of the register."""
        cutoff = microseconds(selection.retention_cutoff) if selection.retention_cutoff else EARLIEST
        if (form := self.form.retention) is None:
            return [number for number, at in enumerate(created) if at is not None and at <= cutoff]
        moment = microseconds(selection.began_at or datetime.now(UTC))
        past = []
        for number, (item, at) in enumerate(zip(items, created, strict=True)):
            since, until = self._time(form.since, item) or at, self._time(form.until, item)
            is_over = (until is not None and until <= moment) or (since is not None and since <= cutoff)
            if is_over and not (form.hold and self._is_true(form.hold, item)):
                past.append(number)
        return past

    def _time(self, at: str | None, item: Any) -> str | None:  # noqa: ANN401  # as above
        try:
            found = self._moments.read(find(at, item)) if at else None
            return microseconds(found) if found else None
        except ValueError:
            return None

    def _is_true(self, at: str, item: Any) -> bool:  # noqa: ANN401  # as above
        try:
            value = find(at, item)
        except ValueError:
            return False
        return says_yes(value) and not self._moments.is_no_time(value)


def _texts(values: Sequence[JSON]) -> list[str | None]:
    return [value if isinstance(value, str) else None for value in values]


def _has(at: str, item: Any) -> bool:  # noqa: ANN401  # any JSON value
    try:
        return find(at, item) not in (None, "", [], {})
    except ValueError:
        return True


def _within(created: Sequence[str | None], selection: Selection) -> list[int]:
    """Return the numbers of the times that are within the wanted time, or are not known."""
    since = microseconds(selection.since) if selection.since else EARLIEST
    until = microseconds(selection.until) if selection.until else LATEST
    return [number for number, at in enumerate(created) if at is None or since <= at < until]


def _dataset(source: HttpSourceForm, form: HttpDatasetForm) -> Dataset:
    fields = [one.field(name, one.type, form.provenance) for name, one in form.fields.items()]
    if form.file is not None:
        fields.append(api.Field(FILE, FieldType.STRING, FILE_TEXT, form.provenance))
    return dataset_of(source, form, tuple(fields), form.withheld)
