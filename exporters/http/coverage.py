"""Checks a map against its source: the records of a person for tests, or else only what the source refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from exporters.http import look_ups, walk
from exporters.http.context import AskedValue, ReadingContext
from exporters.http.expressions import roots
from exporters.http.forms import HttpDatasetForm, HttpSourceForm, IdentityForm, LinksForm, RequestForm
from exporters.http.matching import PARENT
from exporters.http.records import RecordMaker
from exporters.http.walk import Level, WalkedPage
from portability.api import CoverageFinding, CoverageKind, Selection
from portability.api.errors import ExporterFault, SourceRefused
from portability.people.addresses import EMAIL, PHONE

NO_ONE = {EMAIL: "no-one@coverage.invalid", PHONE: "+10000000000"}
"""Identities that no person has (RFC 2606 reserves `.invalid`)."""
NO_ID = "0"
"""The same, of any other kind."""
NOT_FOUND = (400, 404, 410, 422)
"""What sources answer about an identifier that does not exist, or does not have their form."""
PAGES_MOST = 20
ITEMS_MOST = 100
"""Of a dataset: what is compared of the person for tests."""
ALL = Selection()

Nodes = Mapping[str, LinksForm | HttpDatasetForm]


@dataclass
class CheckedPerson:
    """The identities with which a check asks: those of the person for tests, else identities of no one."""

    stated: Mapping[str, str] = field(repr=False)
    """The person for tests, by kind of identity; empty without one."""
    tenant: str | None
    _found: dict[str, list[AskedValue]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for kind, value in self.stated.items():
            self.add(kind, AskedValue(value, self.tenant))

    def add(self, kind: str, value: AskedValue) -> None:
        """Add an identity that a look-up has found."""
        self._found.setdefault(kind, []).append(value)

    def is_known(self, kind: str) -> bool:
        """Return whether the person for tests has an identity of a kind."""
        return kind in self._found

    def asked(self, kind: str) -> Sequence[AskedValue]:
        """Return the values of a kind; at least one."""
        return self._found.get(kind) or [AskedValue(NO_ONE.get(kind, NO_ID), self.tenant)]


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """One check of one source."""

    name: str
    form: HttpSourceForm
    person: CheckedPerson
    reading: ReadingContext
    """It asks for the person's identities."""
    makers: Mapping[str, RecordMaker]
    levels: Callable[[HttpDatasetForm, ReadingContext], Sequence[Level]]

    def findings(self) -> Iterator[CoverageFinding]:
        """Yield what does not fit or is undecided. Raises SourceUnavailable."""
        for identity in self.form.identity:
            yield from self._look_up(identity)
        for dataset in self.form.dataset:
            yield from (_undecided(dataset, name, "listed as undecided") for name in dataset.undecided)
            yield from self._dataset(dataset)

    def _look_up(self, identity: IdentityForm) -> Iterator[CoverageFinding]:
        is_known = self.person.is_known(identity.asked)
        table = _path(identity)
        try:
            hits = list(
                look_ups.find_identities(self.name, self.person.tenant, identity, self._reading(identity.asked))
            )
        except SourceRefused as error:
            yield CoverageFinding(CoverageKind.QUERY_REFUSED, table, detail=str(error))
            return
        for hit in hits:
            self.person.add(hit.kind, AskedValue(hit.value, hit.tenant))
        if is_known and not hits:
            detail = f"the look-up by {identity.asked} does not find the person of `check`"
            yield CoverageFinding(CoverageKind.UNFIT, table, detail=detail)

    def _dataset(self, form: HttpDatasetForm) -> Iterator[CoverageFinding]:
        name = form.name
        try:
            found = list(islice(self._items(form), ITEMS_MOST))
        except (SourceRefused, ExporterFault) as error:
            yield CoverageFinding(CoverageKind.QUERY_REFUSED, name, dataset=name, detail=str(error))
            return
        # A source that answers about an identifier of no one answers about nothing that exists.
        items = found if self.person.is_known(_root(form, self.form.nodes)) else []
        if not items:
            detail = "the person of `check` has no record" if self.person.stated else "the section has no `check`"
            yield CoverageFinding(CoverageKind.NOT_COMPARED, name, dataset=name, detail=detail)
        elif form.hooks.shape is None:
            yield from _compared(self.form, form, [item for item, _ in items if isinstance(item, dict)])
        faulty = {column for _, gaps in items for column in gaps}
        for column in sorted(faulty):
            kind = form.fields[column].type
            yield CoverageFinding(
                CoverageKind.WRONG_TYPE, name, column, name, detail=f"a value is not of the type {kind}"
            )

    def _items(self, form: HttpDatasetForm) -> Iterator[tuple[Any, Sequence[str]]]:
        """Yield the person's items, each with the fields that its values do not fit; of no one the first page alone."""
        root = _root(form, self.form.nodes)
        self.reading.client.budget.restart()
        pages: Iterable[WalkedPage] = walk.walk(self.levels(form, self._reading(root)))
        maker = self.makers[form.name]
        for page in islice(pages, PAGES_MOST if self.person.is_known(root) else 1):
            for item in page.items:
                made = maker.made([item.value], page.context.record)
                yield item.value, [name for gap in made.gaps for name in gap.fields]

    def _reading(self, kind: str) -> ReadingContext:
        """Return how to ask for a kind: an identifier of no one may be unknown to the source, or have another form."""
        return self.reading if self.person.is_known(kind) else replace(self.reading, none_on=NOT_FOUND)


def _compared(
    source: HttpSourceForm, form: HttpDatasetForm, items: Sequence[Mapping[str, Any]]
) -> Iterator[CoverageFinding]:
    """Yield the values of items on which the map does not decide, and the fields that no item has."""
    if not items:
        return
    seen = {name: type(value).__name__ for item in items for name, value in item.items()}
    decided = _decided(source, form)
    for name in sorted(seen.keys() - decided):
        yield _undecided(form, name, seen[name])
    for name, one in form.fields.items():
        at = one.at or name
        if not at.startswith(PARENT) and roots(at) and not roots(at) & seen.keys():
            detail = f"no record of the person has {', '.join(sorted(roots(at)))}"
            yield CoverageFinding(CoverageKind.MISSING_COLUMN, form.name, name, form.name, detail=detail)


def _undecided(form: HttpDatasetForm, column: str, detail: str) -> CoverageFinding:
    return CoverageFinding(CoverageKind.UNDECIDED_COLUMN, form.name, column, form.name, detail=detail)


def _decided(source: HttpSourceForm, form: HttpDatasetForm) -> frozenset[str]:
    """Return the names in an item that the map mentions: as a field, as not delivered, or to read by them."""
    texts: list[str | None] = [one.at or name for name, one in form.fields.items()]
    texts += [one.at or name for name, one in form.withheld.items()]
    texts += [*form.verify, *(one.at for one in form.keep), form.deleted]
    texts += [form.page.key if form.page else None, form.window.at if form.window else None]
    if form.retention is not None:
        texts += form.retention.model_dump().values()
    if form.file is not None:
        texts += [form.file.url, form.file.media_type, form.file.bytes, form.file.sha256, form.file.when]
    for node in source.nodes.values():
        if node.parent == form.name:
            texts += [node.each, node.within, node.cut if node.within else None]
    found = (roots(text) for text in texts if text and not text.startswith(PARENT))
    return frozenset().union(*found, form.internal, form.undecided)


def _path(form: RequestForm) -> str:
    return form.get or form.post or ""


def _root(form: LinksForm | HttpDatasetForm, nodes: Nodes) -> str:
    """Return the kind of identities from which the way to a dataset begins."""
    while form.parent is not None:
        form = nodes[form.parent]
    return form.for_each or ""
