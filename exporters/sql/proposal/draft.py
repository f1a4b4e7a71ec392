"""Writes the draft of a map: every column is undecided, and stands beside it as a proposal that a person may take."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count

from exporters.sql.catalogue import Catalogue, CatalogueTable, type_in_maps
from exporters.sql.proposal.names import Guess, guess, may_be_time, words
from exporters.sql.proposal.paths import GUESS_COST, Paths, PathStep
from exporters.sql.proposal.remarks import (
    MISSING,
    addresses,
    held_in_common,
    mixed,
    name_beside,
    named_rows,
    naming_columns,
    obstacles,
    own_rows,
    shared,
    unfit,
)
from exporters.sql.proposal.time_columns import IN_NUMBERS, counts, times_of_rows
from exporters.sql.proposal.writing import bare_key, plain, quoted, sentence
from portability.api import FieldType, SubjectKind
from portability.api.names import name_fault
from portability.api.nouns import FIRST_IDENTITY

HEAD = """\
# Draft of a map, proposed from the catalogue of the database. No row was read, and nothing of it is exported.
# Each column is undecided until a person takes it out of `undecided`, into one of
#   [dataset.fields]    the person gets it;
#   [dataset.withheld]  the person reads that it is stored, and why it is not delivered;
#   [dataset.internal]  it says nothing about a person.
# The proposals after # come from names, types and comments: they are often wrong. Each decision has a [[decision]].
"""
INTERNAL = '# Tables that say nothing about a person, each on a line: table = "why it says nothing"'
WITHHELD_REASON = "with it another person could act as you"
BYTES = (
    "bytes, such as a picture. Where they are the person's, name a view that writes them as a text "
    "(docs/maps.md#bytes); on MariaDB a field can have those that are texts"
)
NAME_MAX = 100
_UNNAMED = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Proposal:
    """What is known of a database before a person decides."""

    catalogue: Catalogue
    paths: Paths
    kind: SubjectKind
    """The kind of the subject: its identity selects the rows."""
    title: str

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Return the names of the datasets by table, as archives may have them."""
        names: dict[str, str] = {}
        taken: set[str] = set()
        for table in self.catalogue.tables:
            name = _UNNAMED.sub("_", table)[:NAME_MAX]
            if name_fault(name) or name.lower() in taken:
                name = f"{name[: NAME_MAX - 6]}_{len(names)}"
            names[table] = name
            taken.add(name.lower())
        return names

    @property
    def certain(self) -> Sequence[str]:
        """Return the tables whose rows lead to the subject in one way, through tables with a key: the nearest first."""
        near = sorted(self.paths.reached.items(), key=lambda pair: (pair[1].cost, pair[0]))
        return [name for name, _reach in near if self._is_certain(name)]

    @property
    def unclear(self) -> Sequence[str]:
        """Return the tables whose rows lead to the subject, and for which a person has to choose the way or the key."""
        return sorted(self.paths.reached.keys() - {*self.certain})

    @property
    def apart(self) -> Sequence[str]:
        """Return the tables whose rows do not lead to the subject."""
        return sorted(self.catalogue.tables.keys() - self.paths.reached.keys())

    @cached_property
    def of_tenants(self) -> Collection[str]:
        """Return the tables whose rows name a tenant."""
        return frozenset(one for one, found in self.catalogue.tables.items() if self.paths.tenant in found.columns)

    def is_of_company(self, table: str) -> bool:
        """Return whether the rows of a table with a key name a tenant, and lead to no subject."""
        found = self.catalogue.tables[table]
        return table not in self.paths.reached and bool(found.key) and self.paths.tenant in found.columns

    def _is_certain(self, table: str) -> bool:
        while not any(obstacles(self.catalogue.tables[table])):
            if table == self.paths.subject:
                return True
            step = self.paths.reached[table].chosen
            if step is None:
                return False
            table = step.table
        return False


def draft(proposal: Proposal) -> str:
    """Write the draft as TOML."""
    certain, unclear, apart = proposal.certain, proposal.unclear, proposal.apart
    lines = [HEAD, f"title = {sentence(proposal.title)}"]
    role = "processor" if proposal.paths.tenant else "controller"
    lines += [f'role = "{role}"  # controller, processor or both', f'kinds = ["{proposal.kind}"]', ""]
    for name in certain:
        lines += [*_dataset(proposal, name, _rows(proposal, name)), ""]
    for name in unclear:
        lines += [f"# {line}".rstrip() for line in _unclear(proposal, name)] + [""]
    for name in filter(proposal.is_of_company, apart):
        lines += [f"# {line}".rstrip() for line in _of_company(proposal, name)] + [""]
    lines += ["[tables]", "undecided = ["]
    lines += [f"    {quoted(name)},  # {_why(proposal, name)}" for name in (*unclear, *apart)]
    return "\n".join([*lines, "]", "[tables.internal]", INTERNAL, *counts(proposal.catalogue), ""])


def _why(proposal: Proposal, name: str) -> str:
    if name in proposal.paths.reached:
        may = "may lead" if proposal.paths.reached[name].cost >= GUESS_COST else "leads"
        return f"{may} to the subject: see above"
    table = proposal.catalogue.tables[name]
    if table.is_view:
        return "a view"
    if proposal.is_of_company(name):
        return "its rows name a company: see above"
    named = naming_columns(proposal.paths, name)
    further = (*mixed(table), *([named] if named else []), *addresses(table))
    return "; ".join(["no key and no name leads to the subject", *further])


def _unclear(proposal: Proposal, name: str) -> Iterator[str]:
    table, reach = proposal.catalogue.tables[name], proposal.paths.reached[name]
    yield f"{plain(name)}: a person has to decide how its rows belong to the subject."
    yield from obstacles(table)
    yield from (f"{one}." for one in (*mixed(table), *addresses(table)))
    ways = [_way(proposal, name, step) for step in (*reach.steps, *reach.longer)]
    yield from _dataset(proposal, name, ways)


def _of_company(proposal: Proposal, name: str) -> Iterator[str]:
    yield f"{plain(name)}: its rows name a company and no person. Take it for exports of a company."
    yield from _dataset(proposal, name, ())


def _dataset(proposal: Proposal, name: str, ways: Sequence[str]) -> Iterator[str]:
    table, tenant = proposal.catalogue.tables[name], proposal.paths.tenant
    yield "[[dataset]]"
    yield f"name = {quoted(proposal.names[name])}"
    yield f"title = {sentence(_title(name))}"
    yield f"description = {sentence(table.comment or f'Rows of the table {name}.')}"
    yield 'provenance = "observed"  # provided, observed or derived'
    yield f"table = {quoted(name)}"
    if tenant is not None and tenant in table.columns:
        remark = (
            "  # it may be NULL: no company and no contact gets such rows" if table.columns[tenant].nullable else ""
        )
        yield f"tenant = {quoted(tenant)}{remark}"
    if ways:
        yield "rows = ["
        yield from (f"    {way}" for way in ways)
        yield "]"
    else:
        yield f'kinds = ["{SubjectKind.TENANT}"]'
    fields = _field_names(table.columns)
    named = [fields[column] for column in table.key]
    yield f"key = [{', '.join(map(quoted, named))}]"
    if named != list(table.key):
        yield f"order = [{', '.join(map(quoted, table.key))}]"
    yield from times_of_rows(table)
    yield "undecided = ["
    yield from (f"    {quoted(column)}," for column in table.columns)
    yield "]"
    yield from _proposals(table)


def _rows(proposal: Proposal, name: str) -> Sequence[str]:
    reach = proposal.paths.reached[name]
    table, ids = proposal.catalogue.tables[name], _identities(proposal, name)
    if not reach.cost:
        own = [
            f"# {{ column = {quoted(one.name)}, {ids} }},  # it names another row of {plain(name)}"
            for one in own_rows(table)
        ]
        named = [f"# {one}" for one in named_rows(proposal.paths, name)]
        doubt = unfit(table, proposal.paths.key)
        remark = f"  # {doubt}" if doubt else ""
        return [f"{{ column = {quoted(proposal.paths.key)}, {ids} }},{remark}", *own, *named]
    chosen = reach.chosen
    others = [step for step in (*reach.steps, *reach.longer) if step is not chosen]
    led = [_way(proposal, name, step) for step in (chosen,) if step]
    others_here = (f"{plain(one.name)} names another row of {plain(name)}" for one in own_rows(table))
    further = (*mixed(table), *others_here, *held_in_common(proposal.paths, name, proposal.of_tenants))
    missing = [f"{one}: {MISSING}" for one in further]
    return led + [f"# {one}" for one in (*(_way(proposal, name, step) for step in others), *missing, *addresses(table))]


def _identities(proposal: Proposal, name: str) -> str:
    """Return the keys of a way that say which identities select rows of a table."""
    stated = f'identities = ["{FIRST_IDENTITY[proposal.kind][1]}"]'
    # The id of an account is valid at all tenants, and not at the tenant of the row alone.
    is_account = proposal.kind is SubjectKind.USER and proposal.paths.tenant in proposal.catalogue.tables[name].columns
    return f'{stated}, within = "platform"' if is_account else stated


def _way(proposal: Proposal, name: str, step: PathStep) -> str:
    inner = [f"column = {quoted(step.column)}"]
    if step.through:
        through = f"table = {quoted(step.through)}, here = {quoted(step.here)}, key = {quoted(step.own_key)}"
        inner.insert(0, f"through = [{{ {through} }}]")
    has_tenant = proposal.paths.tenant in proposal.catalogue.tables[name].columns
    # A contact is known to one tenant, so a row that names none is led by the record of the contact.
    is_led = has_tenant or proposal.kind is not SubjectKind.CONTACT
    if is_led and step.table == proposal.paths.subject and step.key == proposal.paths.key:
        inner.append(_identities(proposal, name))
    else:
        inner += [f"dataset = {quoted(proposal.names[step.table])}", f"key = {quoted(step.key)}"]
    remarks = ["by its name: there is no foreign key"] if step.by_name else []
    remarks += [plain(step.doubt)] if step.doubt else []
    remarks += ["who worked on the row"] if step.is_of_actor else []
    remarks += [f"people share it: each person in {plain(step.through)}"] if step.through else []
    if not step.through and (table := shared(proposal.paths, step.table)):
        remarks.append(f"people share rows of {plain(table)}: each of them gets these")
    remark = f"  # {', '.join(remarks)}" if remarks else ""
    return f"{{ {', '.join(inner)} }},{remark}"


def _proposals(table: CatalogueTable) -> Iterator[str]:
    guesses = {name: guess(name, column.type, table.name) for name, column in table.columns.items()}
    fields = _field_names(table.columns)
    yield "# [dataset.fields]"
    for name, found in guesses.items():
        if found not in {Guess.SECRET, Guess.BINARY}:
            yield f"# {_field(table, name, fields[name], found)}"
    withheld = [name for name, found in guesses.items() if found is Guess.SECRET]
    if withheld:
        yield "# [dataset.withheld]"
        for name in withheld:
            what = " ".join(words(name)) or name
            yield f"# {bare_key(name)} = {{ what = {sentence(what)}, reason = {sentence(WITHHELD_REASON)} }}  # secret"
    # A remark within what a person takes over: it stays a comment.
    yield from (f"# # {plain(name)}: {BYTES}" for name, found in guesses.items() if found is Guess.BINARY)


def _field(table: CatalogueTable, name: str, named: str, found: Guess) -> str:
    column = table.columns[name]
    is_counted = may_be_time(column.name, column.type)
    kind = FieldType.DATETIME if is_counted else type_in_maps(column.type)
    inner = [f"column = {quoted(column.name)}"] if named != column.name else []
    if kind is not FieldType.STRING:
        inner.append(f'type = "{kind}"')
    inner.append(f"text = {sentence(column.comment or _sentence(column.name))}")
    if found is Guess.FREE_TEXT and name not in table.key:
        inner.append("third_party = true")
    remarks = [] if found is Guess.OTHER else [found.replace("_", " ")]
    remarks += [IN_NUMBERS] if is_counted else []
    if beside := name_beside(name, table.columns):
        remarks.append(f"values of any {plain(beside)}, also secrets: list in `where` those that people get")
    remark = f"  # {', '.join(remarks)}" if remarks else ""
    return f"{bare_key(named)} = {{ {', '.join(inner)} }}{remark}"


def _field_names(columns: Iterable[str]) -> Mapping[str, str]:
    """Return the names that the fields of columns have: their own, or others that no other field has."""
    made = {column: _UNNAMED.sub("_", column)[:NAME_MAX] or "column" for column in columns}
    taken = {name for column, name in made.items() if name == column}
    for column, name in made.items():
        if name != column:
            numbered = (f"{name[: NAME_MAX - 6]}_{number}" for number in count(2))
            made[column] = next(one for one in chain([name], numbered) if one not in taken)
            taken.add(made[column])
    return made


def _sentence(name: str) -> str:
    text = " ".join(words(name)) or name
    return f"{text[:1].upper()}{text[1:]}."


def _title(name: str) -> str:
    return _sentence(name.rpartition(".")[2]).rstrip(".")
