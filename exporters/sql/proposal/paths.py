"""Finds how the rows of each table lead to the subject: along references, and through tables that join two others.

A reference is a foreign key, or a column without one whose name says the same, such as `contact_id` for a table
`contacts`. Each table gets its shortest paths; a person decides where several are equally short.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Date, DateTime

from exporters.sql.catalogue import Catalogue, CatalogueColumn, CatalogueTable, Reference, type_in_maps
from exporters.sql.proposal.names import may_be_person, names_rows_of_several, words
from exporters.sql.proposal.references import may_name, naming, references_of
from exporters.sql.proposal.row_names import alike_names, names_of_rows

TENANT_COLUMNS = ("tenant_id", "org_id", "organization_id", "organisation_id", "workspace_id")
"""Usual names of a column that names the tenant of a row."""
TENANT_TABLES, TENANT_SHARE = 2, 0.1
"""Where rows have tenants, such a column is in this number of tables at least, and in this share of all."""
_ACTORS = frozenset(
    {
        *("created", "updated", "modified", "changed", "deleted", "approved", "assigned", "closed", "archived"),
        *("uploaded", "by", "create", "write", "modifier"),
    }
)
"""Words of a column that names who worked on a row, and not whom it is about."""
SIDES = 2
"""References that make a join table."""
JOIN_COST = 2
"""A join table counts as two references: a reference of the row itself is preferred."""
ACTOR_COST = 100
"""A column that names who worked on a row counts more than any path to whom the row is about."""
GUESS_COST = 1000
"""A guess counts more than any path: it is for tables that nothing else leads from."""
PART_OF_NAME = "it may name the subject by a part of its name"


@dataclass(frozen=True, slots=True)
class PathStep:
    """One way from the rows of a table to a row of another table."""

    column: str
    """The column of the table, or of the join table, that names the other row."""
    table: str
    """The other table."""
    key: str
    """The column of the other table that is named."""
    through: str = ""
    """A join table, if there is one."""
    here: str = ""
    """The column of the join table that names the own row."""
    own_key: str = ""
    """The column of the own row that `here` names."""
    by_name: bool = False
    """Whether only the column's name says so."""
    doubt: str = ""
    """Why the column may name other rows, or none; empty: nothing says so."""

    @property
    def cost(self) -> int:
        """Return the length of the step."""
        length = JOIN_COST if self.through else 1
        return length + ACTOR_COST * self.is_of_actor + GUESS_COST * bool(self.doubt)

    @property
    def is_guess(self) -> bool:
        """Return whether a person has to decide on the step, even if there is no other.

        A table that joins by names alone leads to rows that people share, and to all that belongs to these rows.
        """
        return bool(self.doubt or (self.by_name and self.through))

    @property
    def is_sure(self) -> bool:
        """Return whether a foreign key of the row itself says whom it is about."""
        return not (self.doubt or self.by_name or self.through or self.is_of_actor)

    def leads_to(self, table: str, key: str) -> bool:
        """Return whether it is the last step to a row of a table."""
        return (self.table, self.key) == (table, key)

    @property
    def is_of_actor(self) -> bool:
        """Return whether the column seems to name who worked on the row."""
        return bool(_ACTORS & {*words(self.column)})


@dataclass(frozen=True, slots=True)
class TablePaths:
    """How the rows of a table lead to the subject."""

    cost: int
    """The length of the shortest path; 0: it is the subject's own table."""
    steps: tuple[PathStep, ...] = ()
    """The first step of each shortest path; those that name whom a row is about come before the actors'."""
    longer: tuple[PathStep, ...] = ()
    """A person decides on these, too: further steps to the subject itself, and to rows that are not farther from it.

    And other tables that a column may name. A step to rows that are farther may lead in a circle.
    """

    @property
    def chosen(self) -> PathStep | None:
        """Return the only first step, without those of actors if there are others; None: a person has to decide."""
        about = [step for step in self.steps if not step.is_of_actor] or list(self.steps)
        return about[0] if len(about) == 1 and not about[0].is_guess else None


@dataclass(frozen=True, slots=True)
class Paths:
    """The paths of a catalogue to one subject."""

    subject: str
    key: str
    tenant: str | None
    """The name of the column with the tenant; it leads to no person."""
    reached: Mapping[str, TablePaths]
    """By table; a table that is missing here cannot reach the subject."""
    references: Mapping[str, Sequence[tuple[Reference, bool]]]
    """By table: its references by one column each, and whether only the name says so; none by the tenant."""


def find(catalogue: Catalogue, subject: str, key: str, tenant: str | None) -> Paths:
    """Find the shortest paths of all tables to a subject's table."""
    named = names_of_rows(catalogue)
    references = {one: tuple(references_of(catalogue, table, tenant, named)) for one, table in catalogue.tables.items()}
    leaving: dict[str, list[PathStep]] = defaultdict(list)
    sure = (*_direct(references), *_joined(catalogue, references, tenant), *_by_parts(catalogue, tenant))
    for name, step in dict.fromkeys(sure):  # a column may have the same foreign key twice
        leaving[name].append(step)
    asked = (*_possible(catalogue, references, PathStep(key, subject, key), named), *_alike(catalogue, references))
    for name, step in asked:
        if step.column != tenant and not names_rows_of_several(catalogue.tables[name], step.column):
            leaving[name].append(step)
    costs = _costs(leaving, subject)
    reached = {subject: TablePaths(0)}
    for name, cost in sorted(costs.items(), key=lambda pair: pair[1]):
        if name != subject:
            ordered = sorted(leaving[name], key=lambda one: (one.is_of_actor, one.column, one.table, one.through))
            shortest = [step for step in ordered if costs.get(step.table, cost) + step.cost == cost]
            further = [step for step in ordered if step.table in costs and step not in shortest]
            columns = {step.column for step in shortest}
            longer = [
                one
                for one in further
                if one.leads_to(subject, key)
                or (one.doubt and one.column in columns)
                or (one.is_sure and one.column not in columns and costs[one.table] <= cost < GUESS_COST)
            ]
            reached[name] = TablePaths(cost, tuple(shortest), tuple(longer))
    return Paths(subject, key, tenant, reached, references)


def _possible(
    catalogue: Catalogue,
    references: Mapping[str, Sequence[tuple[Reference, bool]]],
    end: PathStep,
    named: Mapping[str, Sequence[str]],
) -> Iterator[tuple[str, PathStep]]:
    """Yield the columns that may name the subject by a part of their names.

    They are neither references nor the key.
    """
    own = [name for name, tables in named.items() if end.table in tables]
    kind = type_in_maps(catalogue.tables[end.table].columns[end.key].type)
    for name, table in catalogue.tables.items():
        for column in () if name == end.table else _unknown(table, references[name]):
            if type_in_maps(column.type) is kind and may_be_person(column.name, own):
                yield name, replace(end, column=column.name, doubt=PART_OF_NAME)


def _alike(
    catalogue: Catalogue, references: Mapping[str, Sequence[tuple[Reference, bool]]]
) -> Iterator[tuple[str, PathStep]]:
    """Yield the columns that may name rows of another table, because they are called like it, or like its key."""
    names = alike_names(catalogue)
    for name, table in catalogue.tables.items():
        for column in _unknown(table, references[name]):
            called, seen = "".join(words(column.name)), set[str]()
            for what, by_names in names.items():
                others = [catalogue.tables[one] for one in by_names.get(called, ()) if one != name]
                is_new = len(others) == 1 and others[0].name not in seen
                if is_new and may_name(column, others[0], is_key=what.startswith("the key")):
                    seen.add(others[0].name)
                    doubt = f"it may name a row of {others[0].name}: it is called like {what}"
                    yield name, PathStep(column.name, others[0].name, others[0].key[0], doubt=doubt)


def _unknown(table: CatalogueTable, references: Sequence[tuple[Reference, bool]]) -> Iterator[CatalogueColumn]:
    """Yield the columns of which neither a key nor a whole name says what they name."""
    known = {reference.columns[0] for reference, _by_name in references} | {*(table.key if len(table.key) == 1 else ())}
    for column in table.columns.values():
        if column.name not in known:
            yield column


def tenant_column(catalogue: Catalogue) -> str | None:
    """Return the most frequent of the usual names of a column with the tenant; None if fewer tables have it than usual.

    A single `org_id` says where a person works.
    """
    found = max(TENANT_COLUMNS, key=lambda name: frequency(catalogue, name))
    usual = max(TENANT_TABLES, len(catalogue.tables) * TENANT_SHARE)
    return found if frequency(catalogue, found) >= usual else None


def frequency(catalogue: Catalogue, column: str) -> int:
    """Return how many tables have a column of this name."""
    return sum(column in table.columns for table in catalogue.tables.values())


def _costs(leaving: Mapping[str, Sequence[PathStep]], subject: str) -> dict[str, int]:
    """Return the length of the shortest path of each table (Dijkstra, from the subject outwards)."""
    arriving: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for name, steps in leaving.items():
        for step in steps:
            arriving[step.table].append((name, step.cost))
    costs = {subject: 0}
    waiting = [(0, subject)]
    while waiting:
        cost, table = heapq.heappop(waiting)
        for name, more in arriving[table] if cost == costs[table] else ():
            longer = cost + more
            if longer < costs.get(name, longer + 1):
                costs[name] = longer
                heapq.heappush(waiting, (longer, name))
    return costs


def _direct(references: Mapping[str, Sequence[tuple[Reference, bool]]]) -> Iterator[tuple[str, PathStep]]:
    for name, found in references.items():
        for reference, by_name in found:
            if reference.table != name:
                yield name, PathStep(reference.columns[0], reference.table, reference.keys[0], by_name=by_name)


def _by_parts(catalogue: Catalogue, tenant: str | None) -> Iterator[tuple[str, PathStep]]:
    """Yield the steps by single columns of foreign keys of several columns, of which a person has to choose one.

    Columns that have the name of what they name, such as the number of a partition, often say where both rows are
    stored: they are steps only if no column has another name.
    """
    for name, table in catalogue.tables.items():
        for reference in table.references:
            pairs = naming(catalogue, reference, tenant)
            renamed = [(column, key) for column, key in pairs if column != key] or pairs
            if len(pairs) > 1 and reference.table in catalogue.tables.keys() - {name}:
                for column, key in renamed:
                    doubt = f"one column of a foreign key of several: {key} alone must name one row"
                    yield name, PathStep(column, reference.table, key, doubt=doubt)


def _joined(
    catalogue: Catalogue, references: Mapping[str, Sequence[tuple[Reference, bool]]], tenant: str | None
) -> Iterator[tuple[str, PathStep]]:
    """Yield the steps through tables whose rows say that two other rows belong together."""
    for join, found in references.items():
        pairs = _pairs(catalogue.tables[join], found, tenant)
        for own, own_by_name in found:
            for other, by_name in found:
                sides = frozenset({own.columns[0], other.columns[0]})
                if len(sides) == SIDES and own.table != other.table and any(sides <= pair for pair in pairs):
                    ends = (other.columns[0], other.table, other.keys[0])
                    through = (join, own.columns[0], own.keys[0])
                    yield own.table, PathStep(*ends, *through, by_name=own_by_name or by_name)


def _pairs(
    table: CatalogueTable, references: Sequence[tuple[Reference, bool]], tenant: str | None
) -> Sequence[frozenset[str]]:
    """Return the sets of columns of a table whose rows only say that the rows that these columns name belong together.

    Where two of its columns are unique together, a third one, such as that of a project, describes the row.
    """
    sides = {reference.columns[0] for reference, _by_name in references}
    if unique := [one for one in table.unique if one <= sides and len(one) > 1]:
        return unique
    sides = {reference.columns[0] for reference, by_name in references if not by_name}
    others = [column for name, column in table.columns.items() if name not in {*sides, *table.key, tenant}]
    is_join = len(sides) >= SIDES and all(isinstance(column.type, DateTime | Date) for column in others)
    return [frozenset(sides)] if is_join else ()
