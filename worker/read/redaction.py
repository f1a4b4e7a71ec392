"""Redaction of other people's data: pseudonyms for staff and speakers, marks for other people's details (R27).

The tags of fields decide, never an exporter. It is done when a batch arrives, before any format sees it, so that
tables, documents and the viewer agree. `switch` redacts nothing: all data is the tenant's own.
docs/other-people.md has the rules.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from sqlalchemy import Engine

from portability.api import JSON, ROLES_OF_SPEAKERS, Batch, Dataset, Field, FieldType, Person, Subject
from portability.law.profiles import Profile
from portability.people.pseudonyms import PseudonymBook
from worker.read import free_text, nested_keys
from worker.read.free_text import FreeText
from worker.read.nested_keys import KeyTree
from worker.read.record_columns import column, with_columns

Redacted: TypeAlias = tuple[Batch, Counter[str]]
Redact: TypeAlias = Callable[[Dataset, Batch], Redacted]
"""Redacts a batch; returns it with the number of replacements by rule."""

KINDS: Mapping[Person, str] = {Person.STAFF: "agent", Person.SPEAKER: "speaker"}
"""The kind of pseudonym for each tag's values; as a word it precedes the number."""
MARKS: Mapping[Person, str] = {Person.OTHER: "[redacted:other-person]", Person.NOTE: free_text.MARK}
RULES: Mapping[Person, str] = {
    Person.STAFF: "staff-pseudonym",
    Person.SPEAKER: "speaker-pseudonym",
    Person.OTHER: "other-person",
    Person.NOTE: free_text.RULE,
}
"""Ids of the rules in the ledger; docs/other-people.md lists them."""
DEPTH_MAX = 100
"""Depth limit; deeper values count as another person's."""
KNOWN_MAX = 50_000
"""Size of a worker's cache of pseudonyms; others are read from the database again."""
_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def as_it_is(_dataset: Dataset, batch: Batch) -> Redacted:
    """Return the batch unchanged, for `switch`."""
    return batch, Counter()


def redact(engine: Engine, export_id: str, profile: Profile, subject: Subject) -> Redact:
    """Return how the batches of an export are redacted."""
    if profile is Profile.SWITCH:
        return as_it_is
    own = [identity.value for identity in subject.identities if identity.verified]
    return OtherPeople(PseudonymBook(engine, export_id), frozenset(map(_fold, own)), FreeText.of(own)).redact


@dataclass(slots=True)
class OtherPeople:
    """The people of one export: the subject, and the pseudonyms of others as far as they are known here."""

    book: PseudonymBook
    own: frozenset[str] = field(repr=False)
    """Verified identities of the subject, in lower case."""
    free_text: FreeText
    _known: dict[tuple[Person, str], str] = field(default_factory=dict, repr=False)
    """Replacement by tag and text; the text itself if it identifies no other person."""

    def redact(self, dataset: Dataset, batch: Batch) -> Redacted:
        """Redact a batch for a person. Raises: DatabaseUnavailable; LeaseLost if the export has ended."""
        tagged = [found for found in dataset.fields if found.person is not None or found.keys is not None]
        counted: Counter[str] = Counter()
        if not tagged or not batch.records:
            return batch, counted
        columns = {found.name: column(batch.records, found.name) for found in tagged}
        self._learn(tagged, columns)
        redacted = {
            found.name: [self._value(found, value, counted) for value in columns[found.name]] for found in tagged
        }
        return replace(batch, records=with_columns(batch.records, redacted)), counted

    def _value(self, found: Field, value: JSON, counted: Counter[str]) -> JSON:
        person = found.person
        if value is None:
            return None
        if person is None:
            return self._nested(value, nested_keys.tree(found.keys or ()), counted)
        if found.type not in {FieldType.STRING, FieldType.OBJECT}:
            # Neither mark nor pseudonym has the field's type; no plug-in with such a tag is loaded.
            counted[RULES[person]] += 1
            return None
        if person in KINDS:
            return self._pseudonymous(person, value, counted)
        return (
            self._nested(value, nested_keys.NOTHING, counted) if person is Person.NOTE else self._marked(value, counted)
        )

    def _nested(self, value: JSON, node: KeyTree, counted: Counter[str], depth: int = 0) -> JSON:
        """Mask values of keys that are about other people, and the addresses of other people in every other text."""
        if node.is_about_other:
            return self._marked(value, counted, depth)
        if isinstance(value, str):
            return self.free_text.masked(_plain(value), counted)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, list | tuple) and depth < DEPTH_MAX:
            return [self._nested(inner, node, counted, depth + 1) for inner in value]
        if isinstance(value, Mapping) and depth < DEPTH_MAX:
            below = {name: node.below(name) or nested_keys.NOTHING for name in value}
            return {name: self._nested(inner, below[name], counted, depth + 1) for name, inner in value.items()}
        counted[RULES[Person.OTHER]] += 1
        return MARKS[Person.OTHER]

    def _pseudonymous(self, person: Person, value: JSON, counted: Counter[str], depth: int = 0) -> JSON:
        """Replace every text in the value that identifies a person by the pseudonym in this archive."""
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

    def _marked(self, value: JSON, counted: Counter[str], depth: int = 0) -> JSON:
        """Replace everything except the subject's own data by a mark; entries with an identity of the subject stay."""
        if value is None or (isinstance(value, str | dict) and not value) or self._is_own(value):
            return value
        if depth < DEPTH_MAX:
            if isinstance(value, list | tuple):
                return [self._marked(inner, counted, depth + 1) for inner in value]
            if isinstance(value, dict) and (inside := self._entry(value, counted, depth + 1)) is not None:
                return inside
        counted[RULES[Person.OTHER]] += 1
        return MARKS[Person.OTHER]

    def _entry(self, entry: dict[str, JSON], counted: Counter[str], depth: int) -> JSON:
        """Return an object that contains an identity of the subject, with its other parts redacted; None for others."""
        if not any(map(self._is_own, _texts(entry))):
            return None
        is_own = any(map(self._is_own, entry.values()))
        return {
            name: value
            if is_own and not isinstance(value, dict | list | tuple)
            else self._marked(value, counted, depth)
            for name, value in entry.items()
        }

    def _is_own(self, value: JSON) -> bool:
        return isinstance(value, str) and _fold(_plain(value)) in self.own

    def _is_another(self, person: Person, name: str) -> bool:
        is_role = person is Person.SPEAKER and name in ROLES_OF_SPEAKERS
        return name != "" and not is_role and not self._is_own(name)

    def _learn(self, tagged: Sequence[Field], columns: Mapping[str, Sequence[JSON]]) -> None:
        """Read all pseudonyms of a batch at once."""
        if len(self._known) > KNOWN_MAX:
            self._known.clear()
        for person, kind in KINDS.items():
            of_person = [columns[found.name] for found in tagged if found.person is person]
            met = dict.fromkeys(_named(of_person))
            new = [name for name in met if (person, name) not in self._known]
            numbers: Mapping[str, int] = {}
            if unnumbered := [name for name in new if self._is_another(person, name)]:
                numbers = self.book.numbers(kind, unnumbered)
            for name in new:
                self._known[person, name] = f"{kind.title()} {numbers[name]}" if name in numbers else name


def _named(columns: Sequence[Sequence[JSON]]) -> Iterator[str]:
    """Yield every text in these columns."""
    for values in columns:
        for value in values:
            if type(value) is str:
                yield value
            elif value is not None:
                yield from _texts(value)


def _texts(value: JSON, depth: int = 0) -> Iterator[str]:
    """Yield every text in a value."""
    if isinstance(value, str):
        yield _plain(value)
    elif depth < DEPTH_MAX and isinstance(value, list | tuple | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner, depth + 1)


def _plain(text: str) -> str:
    """Return the plain text of a subclass of str from third-party code."""
    return str.__str__(text)


def _fold(text: str) -> str:
    """Convert ASCII letters to lower case, as addresses are compared."""
    return text.strip().translate(_FOLD)
