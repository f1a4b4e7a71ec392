"""Other people in somebody's copy: pseudonyms for staff and speakers, marks for what is another's (R27).

The tags of fields decide, never an exporter. It is done where a batch arrives, before any format sees it, so that
tables, documents and the viewer agree. In `switch` nothing of this is done: all of it is the tenant's own data.
docs/other-people.md has the rules.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from sqlalchemy import Engine

from portability import pseudonyms
from portability.api import (
    JSON,
    ROLES_OF_SPEAKERS,
    Batch,
    Dataset,
    Field,
    FieldType,
    Person,
    Record,
    Subject,
)
from portability.db import writing
from portability.requests import Profile
from portability.rows import Rows, lines

Treated: TypeAlias = tuple[Batch, Counter[str]]
Treat: TypeAlias = Callable[[Dataset, Batch], Treated]
"""What becomes of a batch: itself with other people's details replaced, and how often, by rule."""

KINDS: Mapping[Person, str] = {Person.STAFF: "agent", Person.SPEAKER: "speaker"}
"""Kind of the pseudonyms that stand for a tag's values; as a word it stands before the number."""
MARKS: Mapping[Person, str] = {Person.OTHER: "[redacted:other-person]", Person.NOTE: "[redacted:private-note]"}
RULES: Mapping[Person, str] = {
    Person.STAFF: "staff-pseudonym",
    Person.SPEAKER: "speaker-pseudonym",
    Person.OTHER: "other-person",
    Person.NOTE: "private-note",
}
"""Ids by which the ledger counts; docs/other-people.md lists them."""
DEPTH_MAX = 100
"""What lies deeper in a value is taken for another person's."""
KNOWN_MAX = 50_000
"""Pseudonyms that a worker keeps in mind; it asks the database again for others."""
_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def as_it_is(_dataset: Dataset, batch: Batch) -> Treated:
    """For `switch`."""
    return batch, Counter()


def treat(engine: Engine, export_id: str, profile: Profile, subject: Subject) -> Treat:
    """How the batches of an export are treated."""
    if profile is Profile.SWITCH:
        return as_it_is
    return People(engine, export_id, frozenset(_fold(i.value) for i in subject.identities if i.verified)).treat


@dataclass(slots=True)
class People:
    """The people of one export: who the subject is, and the pseudonyms of the others as far as they are known here."""

    engine: Engine
    export_id: str
    own: frozenset[str] = field(repr=False)
    """Verified identities of the subject, folded."""
    _known: dict[tuple[Person, str], str] = field(default_factory=dict, repr=False)
    """What stands in a copy for a text of a tag; itself, where it names nobody else."""

    def treat(self, dataset: Dataset, batch: Batch) -> Treated:
        """The batch as a person may have it. Raises: DatabaseUnavailable; LeaseLost where the export has ended."""
        tagged = [found for found in dataset.fields if found.person is not None]
        counted: Counter[str] = Counter()
        if not tagged or not batch.records:
            return batch, counted
        columns = {found.name: _column(batch.records, found.name) for found in tagged}
        self._learn(tagged, columns)
        treated = {
            found.name: [self._value(found, value, counted) for value in columns[found.name]] for found in tagged
        }
        return replace(batch, records=_with(batch.records, treated)), counted

    def _value(self, found: Field, value: JSON, counted: Counter[str]) -> JSON:
        person = found.person
        if value is None or person is None:
            return value
        if found.type not in {FieldType.STRING, FieldType.OBJECT}:
            # Neither mark nor pseudonym is of its type; no plugin with such a tag is loaded.
            counted[RULES[person]] += 1
            return None
        if person in KINDS:
            return self._pseudonymous(person, value, counted)
        return self._marked(person, value, counted)

    def _pseudonymous(self, person: Person, value: JSON, counted: Counter[str], depth: int = 0) -> JSON:
        """Every text in the value that names somebody, replaced by who that is in this archive."""
        if isinstance(value, str):
            name = _plain(value)
            if (known := self._known[person, name]) != name:
                counted[RULES[person]] += 1
            return known
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, list | tuple) and depth < DEPTH_MAX:
            return [self._pseudonymous(person, inner, counted, depth + 1) for inner in value]
        if isinstance(value, dict) and depth < DEPTH_MAX:
            return {name: self._pseudonymous(person, inner, counted, depth + 1) for name, inner in value.items()}
        counted[RULES[person]] += 1
        return MARKS[Person.OTHER]

    def _marked(self, person: Person, value: JSON, counted: Counter[str], depth: int = 0) -> JSON:
        """What is not the subject's own, replaced by a mark; an entry with an identity of the subject is theirs."""
        is_nothing = value is None or (isinstance(value, str | dict) and not value)
        if is_nothing or (person is Person.OTHER and self._is_own(value)):
            return value
        if person is Person.OTHER and depth < DEPTH_MAX:
            if isinstance(value, list | tuple):
                return [self._marked(person, inner, counted, depth + 1) for inner in value]
            if isinstance(value, dict) and (inside := self._entry(value, counted, depth + 1)) is not None:
                return inside
        counted[RULES[person]] += 1
        return MARKS[person]

    def _entry(self, entry: dict[str, JSON], counted: Counter[str], depth: int) -> JSON:
        """An object that names the subject, or one within which something does; None: it is another's as a whole."""
        if not any(map(self._is_own, _texts(entry))):
            return None
        is_own = any(map(self._is_own, entry.values()))
        return {
            name: value
            if is_own and not isinstance(value, dict | list | tuple)
            else self._marked(Person.OTHER, value, counted, depth)
            for name, value in entry.items()
        }

    def _is_own(self, value: JSON) -> bool:
        return isinstance(value, str) and _fold(_plain(value)) in self.own

    def _is_another(self, person: Person, name: str) -> bool:
        is_role = person is Person.SPEAKER and name in ROLES_OF_SPEAKERS
        return name != "" and not is_role and not self._is_own(name)

    def _learn(self, tagged: Sequence[Field], columns: Mapping[str, Sequence[JSON]]) -> None:
        """Ask for all pseudonyms of a batch at once."""
        if len(self._known) > KNOWN_MAX:
            self._known.clear()
        for person, kind in KINDS.items():
            mine = [columns[found.name] for found in tagged if found.person is person]
            met = dict.fromkeys(_named(mine))
            new = [name for name in met if (person, name) not in self._known]
            numbers: Mapping[str, int] = {}
            if asked := [name for name in new if self._is_another(person, name)]:
                with writing(self.engine) as connection:
                    numbers = pseudonyms.numbers(connection, self.export_id, kind, asked)
            for name in new:
                self._known[person, name] = f"{kind.title()} {numbers[name]}" if name in numbers else name


def _column(records: Sequence[Record], name: str) -> Sequence[JSON]:
    """One field of all records."""
    if isinstance(records, Rows) and name in records.names:
        return records.columns[records.names.index(name)]
    return [record.get(name) for record in records]


def _with(records: Sequence[Record], columns: Mapping[str, Sequence[JSON]]) -> Sequence[Record]:
    """The records with other values in the fields that they have."""
    if isinstance(records, Rows):
        treated = [columns.get(name, column) for name, column in zip(records.names, records.columns, strict=True)]
        return Rows(records.names, treated, bytes(lines(records.names, treated)))
    return tuple(
        {**record, **{name: column[place] for name, column in columns.items() if name in record}}
        for place, record in enumerate(records)
    )


def _named(columns: Sequence[Sequence[JSON]]) -> Iterator[str]:
    """Every text in these columns."""
    for column in columns:
        for value in column:
            if type(value) is str:
                yield value
            elif value is not None:
                yield from _texts(value)


def _texts(value: JSON, depth: int = 0) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield _plain(value)
    elif depth < DEPTH_MAX and isinstance(value, list | tuple | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner, depth + 1)


def _plain(text: str) -> str:
    """Of a stranger's subclass, the text itself."""
    return str.__str__(text)


def _fold(text: str) -> str:
    """Without regard to ASCII case, as addresses are compared."""
    return text.strip().translate(_FOLD)
