"""Identities from plug-ins that may hang or fail, and records that only newly found identities lead to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from portability.api import (
    ADDRESS_KINDS,
    NEEDS_REVIEW,
    Batch,
    Cursor,
    Dataset,
    DeclaringExporter,
    Exporter,
    Gap,
    Identity,
    Record,
    Selection,
    Subject,
    SubjectKind,
)
from portability.api.errors import SourceUnavailable
from portability.errors import VolumeFault
from portability.people import resolution
from portability.people.resolution import Decided, Resolution, Unresolved
from portability.source_trust import EVERY_SOURCE, SourceTrust, may_find, use_of
from worker.plan.position import Reading
from worker.read.reader import SourcePatience, source_fault

Name = TypeVar("Name", bound=str)
T = TypeVar("T")


def ask(patience: SourcePatience, what: str, call: Callable[[], T]) -> T:
    """Call a plug-in; an unavailable source is retried. `what` names the plug-in and its function in errors.

    Raises: SourceError for every fault of the plug-in; what the check of `patience` raises.
    """
    attempt = 0
    while True:
        answer = patience.once(what, call)
        if answer.error is None:
            return answer.get()
        fault = source_fault(what, answer.error)
        if not isinstance(fault, SourceUnavailable) or not patience.pause(attempt):
            raise fault
        attempt += 1


def begun_without(reading: Reading, gaps: Iterable[Mapping[Any, Any]]) -> Mapping[str, Unresolved]:
    """Return the plug-ins whose identities were unknown when this reading began: it continues without them."""
    found: dict[str, Unresolved] = {}
    for gap in gaps:
        if gap["resume"] is None or gap["id"] in reading.gaps:
            continue
        left = Reading.from_json(gap["resume"])
        if (left.ordinal, left.slice) == (reading.ordinal, reading.slice):
            found |= dict.fromkeys(left.beyond, Unresolved(gap["reason"], gap["retryable"]))
    return found


class SubjectNotConfirmed(VolumeFault):
    """An identity with which a volume was read is not the subject's any more, or a source cannot say whether it is.

    The rows that were read by it may be another person's, so the volume is written again from its beginning.
    """

    code = "subject_not_confirmed"
    default_hint = "the volume is written again; `portability identities` shows whom the sources name"


class SubjectChanged(VolumeFault):
    """The id that a request names leads to other identities than before: it may have been given to another person."""

    code = "subject_changed"
    retryable = False
    default_hint = "`portability identities` shows whom the sources name; if it is the same person, ask again"


@dataclass(frozen=True, slots=True)
class Resolving:
    """Resolves the subject of an export, and confirms what it has found."""

    subject: Subject
    """The subject as the request names it."""
    exporters: Mapping[str, Exporter]
    """The plug-ins whose identities are needed."""
    patience: SourcePatience
    trust: SourceTrust = EVERY_SOURCE
    made: list[tuple[Resolution, Decided]] = field(default_factory=list)
    """The subjects that it returned, each with its decisions."""

    def without(self, names: Mapping[str, Unresolved], decided: Decided) -> Resolution:
        """Return the subject without what these plug-ins find, with decisions on reviews. Raises AmbiguousSubject."""
        found = self._resolve(names, decided)
        self.made.append((found, decided))
        return found

    def confirm(self) -> None:
        """Check that the verified identities of all subjects that it returned are still the subject's.

        A source may give the number of a deleted row to another person's row (SQLite without AUTOINCREMENT does), and
        an address may change its owner. Rows that were read meanwhile may be of either person.

        Raises: SubjectNotConfirmed; SubjectChanged; AmbiguousSubject.
        """
        finders = [one for one in self.exporters.values() if may_find(one)]
        if all(use_of(one).permanent for one in finders):
            return
        for found, decided in self.made:
            again = self._resolve(found.unresolved, decided)
            _check_same(found.subject, again.subject)
            if failed := again.unresolved.keys() - found.unresolved.keys():
                raise SubjectNotConfirmed(f"{self.subject.ref}: no answer of {', '.join(sorted(failed))}")

    def _resolve(self, names: Mapping[str, Unresolved], decided: Decided) -> Resolution:
        return resolution.resolve(self.subject, self.exporters, self._ask, names, decided, trust=self.trust)

    def _ask(self, name: str, call: Callable[[], object]) -> object:
        return ask(self.patience, f"{name}: identities()", call)

    def by_exporter(self, unresolved: Mapping[str, Unresolved]) -> Mapping[str, Mapping[str, Unresolved]]:
        """Return, for each exporter, the unresolved plug-ins that lead to its records, itself included."""
        if not unresolved:
            return {}
        led = {name: resolution.led_by(name, self.exporters, self.trust, assume=True) for name in self.exporters}
        leading = {name: others | {name} for name, others in led.items()}
        return {name: {n: why for n, why in unresolved.items() if n in leading[name]} for name in self.exporters}


def _check_same(before: Subject, after: Subject) -> None:
    """Raise SubjectNotConfirmed if a verified identity is lost, and SubjectChanged if only others are found."""
    had, has = (frozenset(one for one in subject.identities if one.verified) for subject in (before, after))
    if not had - has:
        return
    named = before.identities[0]
    if before.kind not in ADDRESS_KINDS and has - {named} and had & has <= {named}:
        raise SubjectChanged(
            f"{before.ref}: the id of the request leads to none of the {len(had) - 1} identities before"
        )
    lost = ", ".join(sorted({f"{one.kind} of {one.source}" for one in had - has}))
    raise SubjectNotConfirmed(f"{before.ref}: no longer found: {lost}")


def unclear(subjects: Iterable[Subject], exporters: Iterable[Exporter]) -> Iterator[tuple[Identity, str]]:
    """Yield the unverified identities that name a record for a review, with the record's dataset."""
    uses = [exporter.identity_use for exporter in exporters if isinstance(exporter, DeclaringExporter)]
    datasets = {kind: dataset for use in uses for kind, dataset in use.reviewed.items()}
    for one in dict.fromkeys(one for subject in subjects for one in subject.identities):
        if not one.verified and one.kind in datasets:
            yield one, datasets[one.kind]


@dataclass(frozen=True, slots=True)
class RecordsBeyond:
    """An exporter's records of a subject, without those that it also gives for a subject with fewer identities.

    Both are read in parallel in their stable order and compared by the datasets' keys. If a source orders the two
    differently, a record may come twice, but none is lost.
    """

    exporter: Exporter
    fewer: Subject
    is_review: bool = False
    """Whether it is read because of a decision on a review: then the reviews that are open are reported again."""

    @property
    def subject_kinds(self) -> frozenset[SubjectKind]:
        return self.exporter.subject_kinds

    @property
    def datasets(self) -> Sequence[Dataset]:
        return self.exporter.datasets

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        """Yield the batches of the full subject with their new records; nothing if there is no new identity."""
        if subject.identities == self.fewer.identities and not self.is_review:
            return
        keys: deque[tuple[object, ...]] = deque()
        names: set[str] = set()
        with (
            closing(self.exporter.export(self.fewer, dataset, selection, after=after)) as known,
            closing(self.exporter.export(subject, dataset, selection, after=after)) as batches,
        ):
            for batch in batches:
                fresh: list[Record] = []
                places: list[int] = []
                for place, record in enumerate(batch.records):
                    while not keys and (earlier := next(known, None)) is not None:
                        keys.extend(_key(one, dataset) for one in earlier.records)
                        names |= {file.name for file in earlier.files} | {gap.what for gap in earlier.gaps}
                    if keys and keys[0] == _key(record, dataset):
                        keys.popleft()
                    else:
                        fresh.append(record)
                        places.append(place)
                files = tuple(file for file in batch.files if file.name not in names)
                gaps = tuple(gap for gap in batch.gaps if self._is_new(gap, names))
                names -= {file.name for file in batch.files} | {gap.what for gap in batch.gaps}
                remarks, withheld = _moved(batch.remarks, places), _moved(batch.withheld, places)
                yield Batch(fresh, batch.cursor, files, gaps, remarks, withheld)

    def _is_new(self, gap: Gap, known: Collection[str]) -> bool:
        return (self.is_review and gap.reason == NEEDS_REVIEW) or gap.what not in known


def _moved(marked: Mapping[Name, Sequence[int]], places: Sequence[int]) -> dict[Name, list[int]]:
    """Return the marked indexes among the records that stay; `places` are the earlier indexes of these records."""
    now = {earlier: place for place, earlier in enumerate(places)}
    return {name: [now[earlier] for earlier in indexes if earlier in now] for name, indexes in marked.items()}


def _key(record: Record, dataset: Dataset) -> tuple[object, ...]:
    return tuple(record[name] for name in dataset.key)
