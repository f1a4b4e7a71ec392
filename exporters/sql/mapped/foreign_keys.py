"""Finds the columns that a map compares and whose foreign keys lead elsewhere: it would find rows of other people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from exporters.sql.catalogue import Catalogue
from exporters.sql.mapped.forms import SqlSourceForm
from exporters.sql.proposal.names import words
from exporters.sql.proposal.row_names import meant, names_of_rows
from portability.api import CoverageFinding, CoverageKind

Place = tuple[str, str]
"""A table and one of its columns."""
Signature = tuple[str, frozenset[str], frozenset[str]]
"""A column, the columns to which its foreign keys lead, and those with which the map compares it."""
OWN = frozenset({("id",), ("uuid",), ("guid",), ("pk",), ("key",)})
"""Words of columns that name the rows of their own table."""


@dataclass(frozen=True, slots=True)
class KeyFault:
    """A comparison that contradicts the foreign keys of a column."""

    place: Place
    keys: frozenset[str]
    """The columns to which the keys lead."""
    compared: frozenset[str]
    """The columns with which the map compares it."""

    @property
    def detail(self) -> str:
        """Return it as a sentence."""
        column, keys, compared = self.place[1], *(", ".join(sorted(names)) for names in (self.keys, self.compared))
        if self.compared < self.keys:
            return f"{column!r} of {self.place[0]} leads to {keys} together: {compared} alone may name several rows"
        return f"{column!r} of {self.place[0]} leads to {keys} by a foreign key, not to {compared}"

    @property
    def signature(self) -> Signature:
        """Return what a person signs who decides that the map is right against these keys."""
        return ".".join(self.place), self.keys, self.compared


@dataclass(frozen=True, slots=True)
class _Keys:
    """Where the columns of a catalogue lead."""

    catalogue: Catalogue
    by_names: Mapping[str, Sequence[str]]
    tenants: frozenset[str]
    """Names of columns with the tenant, which every step compares."""

    def targets(self, place: Place) -> set[Place]:
        """Return the columns to which the foreign keys of a column lead, as far as the account sees them."""
        table, column = place
        return {
            (reference.table, key)
            for reference in self.catalogue.tables[table].references
            for name, key in zip(reference.columns, reference.keys, strict=True)
            if name == column and self.has((reference.table, key))
        }

    def has(self, place: Place) -> bool:
        """Return whether the catalogue has a column."""
        return place[0] in self.catalogue.tables and place[1] in self.catalogue.tables[place[0]].columns

    def named(self, place: Place) -> set[Place]:
        """Return the column to which the name of a column without foreign key leads, if it is one."""
        others = [self.catalogue.tables[name] for name in meant(place[1], self.by_names) if name != place[0]]
        return {(others[0].name, others[0].key[0])} if len(others) == 1 else set()

    def reached(self, place: Place) -> set[Place]:
        """Return a column and all those to which it leads, in any number of steps."""
        found, waiting = {place}, [place]
        while waiting:
            here = waiting.pop()
            more = (self.targets(here) or self.named(here)) - found
            found |= more
            waiting += more
        return found

    def names_own_rows(self, place: Place) -> bool:
        """Return whether a column seems to name the rows of its table: `badges.person_id` may be a key of people."""
        identifies = frozenset({place[1]}) in self.catalogue.tables[place[0]].unique
        return identifies and (words(place[1]) in OWN or place[0] in meant(place[1], self.by_names))

    def leads_elsewhere(self, place: Place, compared: Place) -> bool:
        """Return whether the foreign keys of a column lead to other rows than the column that it is compared with.

        A database may lack some of its keys, and a view has none. What a column without keys means is known if it names
        the rows of its table, or if the keys of the other one lead to another column of this table.
        """
        targets, more = self.targets(place), self.targets(compared)
        tables = [self.catalogue.tables[name] for name, _ in (place, compared)]
        if not targets or any(table.is_view or table.is_partition for table in tables):
            return False
        if not more and place[1] == compared[1]:
            return False  # such as the key that the parts of one entity share
        is_known = more or self.names_own_rows(compared) or compared[0] in {name for name, _ in targets}
        return bool(is_known) and not self.reached(place) & self.reached(compared)

    def whole_key(self, place: Place, compared: Place) -> set[Place]:
        """Return the columns of a foreign key of which a comparison has one alone that names several rows.

        Empty: there is no such key, or a key of this column alone, or the others are those of the tenant.
        """
        keys = [
            {key for name, key in zip(one.columns, one.keys, strict=True) if not self.tenants & {name, key}}
            for one in self.catalogue.tables[place[0]].references
            if one.table == compared[0] and (place[1], compared[1]) in zip(one.columns, one.keys, strict=True)
        ]
        enough = (*self.catalogue.tables[compared[0]].unique, *keys)
        is_enough = any(one <= {compared[1], *self.tenants} for one in enough)
        return {(compared[0], key) for key in min(keys, key=sorted)} if keys and not is_enough else set()

    def fault(self, place: Place, compared: Collection[Place]) -> KeyFault | None:
        """Return what is wrong with a column that is compared with others; None if it may lead to one of them."""
        if compared and all(self.leads_elsewhere(place, one) for one in compared):
            targets = {one for one in self.targets(place) if not self.catalogue.tables[one[0]].is_partition}
            return KeyFault(place, _names(targets), _names(compared))
        for one in compared if len(compared) == 1 else ():
            if whole := self.whole_key(place, one):
                return KeyFault(place, _names(whole), _names(compared))
        return None


def astray(form: SqlSourceForm, catalogue: Catalogue) -> Iterator[CoverageFinding]:
    """Yield each comparison of a join, step or way that contradicts foreign keys, and that no one has signed.

    Also each signature that is about none of them: it has a wrong name, or the keys were corrected.
    """
    signed: dict[Signature, None] = dict.fromkeys(
        (one.column, frozenset(one.keys), frozenset(one.compared)) for made in form.decision for one in made.against
    )
    left = dict(signed)
    keys = _Keys(catalogue, names_of_rows(catalogue), _tenants(form))
    for path, fault in (*_compared(form, keys), *_identified(form, keys)):
        if fault:
            left.pop(fault.signature, None)
        if fault and fault.signature not in signed:
            dataset = form.dataset[int(path[1])]
            yield CoverageFinding(CoverageKind.UNFIT, dataset.table, dataset=dataset.name, detail=fault.detail)
    for column, targets, compared in left:
        table, names = column.rpartition(".")[0], [", ".join(sorted(one)) for one in (targets, compared)]
        detail = f"a decision is against keys of {column} to {names[0]}, compared with {names[1]}: the check finds none"
        yield CoverageFinding(CoverageKind.UNFIT, table, detail=detail)


def _tenants(form: SqlSourceForm) -> frozenset[str]:
    steps = (step.tenant for _path, _dataset, way in form.steps() for step in way.through)
    joins = (one.join.tenant for one in form.dataset if one.join)
    return frozenset(filter(None, (*steps, *joins, *(one.tenant for one in form.dataset))))


def _compared(form: SqlSourceForm, keys: _Keys) -> Iterator[tuple[Sequence[str | int], KeyFault | None]]:
    for path, first, second in form.compared():
        if keys.has(first) and keys.has(second):
            yield path, keys.fault(first, [second]) or keys.fault(second, [first])


def _identified(form: SqlSourceForm, keys: _Keys) -> Iterator[tuple[Sequence[str | int], KeyFault | None]]:
    """Yield the faults of ways by an identity, as far as the map says which rows have identities of this kind."""
    known: dict[str, set[Place]] = defaultdict(set)
    for kind, place in _stated(form):
        known[kind].add(place)
    ways = [
        (path, way.identities, (way.through[-1].table if way.through else dataset.table, way.column))
        for path, dataset, way in form.steps()
    ]
    for _path, kinds, place in ways:
        for kind in kinds if keys.has(place) and keys.names_own_rows(place) else ():
            known[kind].add(place)
    for path, kinds, place in ways:
        compared = {one for kind in kinds for one in known[kind]}
        if all(known[kind] for kind in kinds) and all(map(keys.has, (place, *compared))):
            yield path, keys.fault(place, compared)


def _stated(form: SqlSourceForm) -> Iterator[tuple[str, Place]]:
    """Yield the kinds of identities, each with a column that contains them."""
    if form.people is not None:
        for kind in (form.people.identity, form.people.duplicate):
            yield kind, (form.people.table, form.people.key)
    if form.accounts is not None:
        yield form.accounts.identity, (form.accounts.table, form.accounts.key)
    for look_up in form.identity:
        yield look_up.kind, (look_up.table, look_up.column)
        yield look_up.gives, (look_up.table, look_up.value)


def _names(places: Collection[Place]) -> frozenset[str]:
    return frozenset(map(".".join, places))
