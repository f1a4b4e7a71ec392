"""The exporter of a source with an HTTP interface, as its map declares it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from exporters.http import look_ups, walk
from exporters.http.answers import check_named
from exporters.http.asking import HookCalls
from exporters.http.batches import BatchCollector
from exporters.http.client import SourceAccess, SourceClient
from exporters.http.context import AskedValue, ReadingContext, fitting
from exporters.http.coverage import CheckedPerson, SourceCheck
from exporters.http.files import SourceFile, file_of
from exporters.http.forms import HttpDatasetForm, HttpSourceForm, LinksForm
from exporters.http.hooks import Hooks
from exporters.http.levels import EachLevel, RequestLevel, ShapeLevel
from exporters.http.places import from_cursor
from exporters.http.records import MadeRecords, RecordMaker
from exporters.http.walk import Level, WalkContext, WalkedPage
from exporters.maps.file_stems import file_stem
from portability.api import (
    Batch,
    CheckedDeclaration,
    Coverage,
    Cursor,
    Dataset,
    File,
    Gap,
    Identity,
    IdentityUse,
    Rate,
    Record,
    Selection,
    Subject,
    SubjectKind,
)
from portability.api.errors import ExporterFault, SourceError

MISSING = "missing"
"""The reason of a gap for a record that another record names, and that the source does not give."""
ALL = Selection()


@dataclass(frozen=True, slots=True)
class HttpSource:
    """What the file of sources and the map say of one source."""

    name: str
    form: HttpSourceForm
    access: SourceAccess
    buckets: Mapping[str, Rate]
    values: Mapping[str, str]
    tenant: str | None
    hooks: Mapping[str, Hooks]
    """By dataset."""
    map_sha256: str = ""
    """Of the text of the map."""
    person: Mapping[str, str] = field(default_factory=dict, repr=False)
    """A person for tests, by kind of identity: a check reads its records."""


class HttpExporter:
    """Reads one subject's records from one source. It counts nothing in advance: that would be as many calls."""

    def __init__(self, source: HttpSource) -> None:
        self.source = source
        self._form = source.form
        self._makers = {
            form.name: RecordMaker(source.form, form, source.hooks[form.name]) for form in source.form.dataset
        }
        self._nodes = source.form.nodes

    @property
    def title(self) -> str:
        """Return the title that the map gives the source."""
        return self._form.title

    @property
    def subject_kinds(self) -> frozenset[SubjectKind]:
        return frozenset(kind for dataset in self.datasets for kind in dataset.subject_kinds or ())

    @property
    def datasets(self) -> Sequence[Dataset]:
        return [maker.dataset for maker in self._makers.values()]

    @property
    def identity_use(self) -> IdentityUse:
        """Return the kinds by which the map looks for the subject, and those that it finds."""
        asked = {one.asked for one in self._form.identity}
        used = {node.for_each for node in self._nodes.values() if node.for_each}
        return IdentityUse(frozenset(asked | used), frozenset(one.gives for one in self._form.identity))

    @property
    def declaration(self) -> CheckedDeclaration:
        """Return the hash of the map. What else an interface has is not known, so that a check lists a part of it."""
        return CheckedDeclaration(self.source.map_sha256, lists_all=False)

    def check(self) -> Coverage:
        """Ask for the person for tests, or for no one, and compare the answers with the map.

        Raises: SourceUnavailable.
        """
        source = self.source
        person = CheckedPerson(source.person, source.tenant)
        with closing(SourceClient(source.access)) as client:
            reading = self._reading(client, person.asked, ALL)
            checked = SourceCheck(source.name, self._form, person, reading, self._makers, self._levels)
            return Coverage(tuple(checked.findings()), is_described=False)

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        """Yield batches of a dataset. Raises SourceUnavailable, SourceRefused, ExporterFault (an invalid cursor)."""
        maker = self._makers.get(dataset.name)
        if maker is None:
            raise ExporterFault(f"unknown dataset {dataset.name!r}")
        if subject.kind not in (maker.dataset.subject_kinds or ()):
            return
        start = None if after is None else from_cursor(after, dataset.name)
        withheld = [one.name for one in maker.dataset.withheld]
        with closing(SourceClient(self.source.access)) as client:
            reading = self._reading(client, partial(self._asked, subject), selection)
            collected = BatchCollector()
            try:
                for page in walk.walk(self._levels(maker.form, reading), start):
                    self._collect(collected, page, maker, reading)
                    collected.add_gaps(reading.cut_lists.take())
                    # A slow source gives a place at least, before the host's time limit ends.
                    if collected.is_full or client.budget.is_half_used:
                        yield collected.take(withheld)
                        client.budget.restart()
            except SourceError:
                # What was read before the fault is delivered, or its place: reading continues there. A list that is
                # known to lack something, and that no place is behind, is read and reported then.
                if collected.has_place:
                    yield collected.take(withheld)
                raise
            collected.add_gaps(reading.cut_lists.take())
            if collected.is_begun:
                yield collected.take(withheld)

    def identities(self, subject: Subject) -> Sequence[Identity]:
        """Return who the subject is in this source. Raises SourceUnavailable, SourceRefused."""
        with closing(SourceClient(self.source.access)) as client:
            reading = self._reading(client, partial(self._asked, subject), ALL)
            found = [
                each
                for form in self._form.identity
                for each in look_ups.find_identities(self.source.name, self.source.tenant, form, reading)
            ]
        return tuple(dict.fromkeys(found))

    def knows(self, subject: Subject) -> bool | None:
        """Return whether a look-up finds the subject; None: the map has none for it. Raises as `identities` does."""
        asked = [one for one in self._form.identity if self._asked(subject, one.asked)]
        return bool(self.identities(subject)) if asked else None

    def _reading(
        self, client: SourceClient, asked: Callable[[str], Sequence[AskedValue]], selection: Selection
    ) -> ReadingContext:
        source = self.source
        calls = HookCalls(client, source.access.guard, source.name)
        return ReadingContext(
            *(source.form, source.access.guard, client, source.buckets, source.values, selection, asked, calls)
        )

    def _asked(self, subject: Subject, kind: str) -> Sequence[AskedValue]:
        """Return the subject's verified identities of a kind that count here.

        A kind that this source finds counts only if this source has found it. An identity of a tenant counts at a
        source of this tenant only, unless the map finds the tenant of each hit.
        """
        is_found = kind in {one.gives for one in self._form.identity}
        finds_tenants = any(one.tenant is not None for one in self._form.identity)
        fitting = [
            AskedValue(one.value, one.tenant)
            for one in subject.identities
            if one.verified and one.kind == kind
            if not is_found or one.source == self.source.name
            if one.tenant in {None, self.source.tenant}
            or (finds_tenants and one.tenant == (subject.tenant or one.tenant))
        ]
        return list(dict.fromkeys(fitting))

    def _levels(self, form: LinksForm | HttpDatasetForm, reading: ReadingContext) -> Sequence[Level]:
        """Return the way to a dataset, from the subject's identities on."""
        hooks = self.source.hooks.get(form.name, Hooks())
        above = [] if form.parent is None else list(self._levels(self._nodes[form.parent], reading))
        if form.each is not None:
            above.append(EachLevel(form.name, form.each))
        maker = self._makers.get(form.name)
        if maker is not None and hooks.shape is not None:
            return [*above, ShapeLevel(maker, hooks, partial(self._parts_of, maker.form, reading))]
        return [*above, RequestLevel(reading, form, maker, hooks)]

    def _parts_of(
        self, form: HttpDatasetForm, reading: ReadingContext, context: WalkContext
    ) -> Mapping[str, Sequence[Record]]:
        """Return all records of the parts of one parent."""
        return {name: list(self._part_of(name, reading, context)) for name in form.parts}

    def _part_of(self, name: str, reading: ReadingContext, context: WalkContext) -> Iterator[Record]:
        maker = self._makers[name]
        each = [] if maker.form.each is None else [EachLevel(name, maker.form.each)]
        levels: list[Level] = [*each, RequestLevel(reading, maker.form, maker, self.source.hooks[name])]
        for page in walk.walk(levels, context=context):
            yield from maker.made([item.value for item in page.items], page.context.record).records

    def _collect(
        self, collected: BatchCollector, page: WalkedPage, maker: RecordMaker, reading: ReadingContext
    ) -> None:
        """Add a page: all of it, or nothing, because a place is behind a page."""
        made = maker.made([item.value for item in page.items], page.context.record, reading.selection)
        files = dict(self._files(maker.form, made, page, reading))
        gaps = [Gap(f"{maker.form.name}/{one}", MISSING) for one in page.missing]
        collected.add(made, files, gaps, page.steps)

    def _files(
        self, form: HttpDatasetForm, made: MadeRecords, page: WalkedPage, reading: ReadingContext
    ) -> Iterator[tuple[int, File]]:
        """Yield the files of records, by the numbers of the records."""
        if form.file is None:
            return
        if form.file.when is not None:
            with fitting(form.name):
                check_named("when", [form.file.when], made.items)
        connect = partial(SourceClient, self.source.access)
        for number, (record, item) in enumerate(zip(made.records, made.items, strict=True)):
            name = file_stem([record[one] for one in form.key])
            names = {**page.context.names, **record}
            stored = SourceFile(f"{form.name}/{name}", form.file, item, names, reading.call, connect)
            if (file := file_of(stored, name)) is not None:
                yield number, file
