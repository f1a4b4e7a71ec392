"""The target of an import: whose rows it may write, named by the operator and compared with the archive's subject."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from portability.api import JSON
from portability.api.tags import SubjectKind
from portability.people.folding import fold
from receiver.binding.columns import RULES, ColumnUse
from receiver.faults import WrongTarget

_OPTIONS: Mapping[SubjectKind, str] = {
    SubjectKind.TENANT: "--as-tenant",
    SubjectKind.USER: "--as-user",
    SubjectKind.CONTACT: "--as-contact",
    SubjectKind.EMAIL: "--as-email",
}


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """A column that is otherwise never imported, with the local value of each of its values.

    Without values each value is imported as it is.
    """

    dataset: str
    column: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportTarget:
    """The one company or person whose rows an import writes. All ids are local."""

    tenant: str | None = None
    user: str | None = None
    contact: str | None = None
    email: str | None = None
    allowed: tuple[ColumnMapping, ...] = ()
    people: Mapping[str, str] = field(default_factory=dict)
    """For the archive of a company: accounts of the archive and the accounts here that they are."""

    def check_complete(self) -> None:
        """Raise WrongTarget unless exactly one company or person is named."""
        self._kind()

    @property
    def kind(self) -> SubjectKind:
        """Return what the target is."""
        return self._kind()

    def _kind(self) -> SubjectKind:
        named = {
            SubjectKind.USER: self.user,
            SubjectKind.CONTACT: self.contact,
            SubjectKind.EMAIL: self.email,
        }
        people = [kind for kind, value in named.items() if value]
        if len(people) > 1:
            raise WrongTarget("an import has one target", hint="name one of --as-user, --as-contact, --as-email")
        if not people and not self.tenant:
            hint = "add --as-tenant ID or --as-user ID: whose data it is here"
            raise WrongTarget("the import has no target", hint=hint)
        kind = people[0] if people else SubjectKind.TENANT
        if kind is SubjectKind.CONTACT and not self.tenant:
            raise WrongTarget("a contact belongs to a company", hint="add --as-tenant ID of the contact's company")
        if self.people and kind is not SubjectKind.TENANT:
            raise WrongTarget("--map-user is for the archive of a company", hint="name the account with --as-user")
        return kind

    @property
    def name(self) -> str:
        """Return one text for the target, such as `tenant:ten_1`, `contact:ten_1/con_1` or `email:a@example.org`."""
        if self.kind is SubjectKind.TENANT:
            return f"tenant:{self.tenant}"
        if self.kind is SubjectKind.USER:
            return f"user:{self.user}"
        return f"contact:{self.tenant}/{self.contact}" if self.contact else f"email:{fold(self.email or '')}"

    def check(self, export: Mapping[str, Any]) -> None:
        """Check that the archive is about the same kind of subject. Raises WrongTarget."""
        kind, said = self.kind, export.get("subject_kind")
        if said not in _OPTIONS:
            raise WrongTarget(
                f"the archive is about a subject of kind {said!r}, whose data has no place in the reference schema",
                hint="import archives of a tenant, user, contact or e-mail address",
            )
        if (said == SubjectKind.TENANT) is not (export.get("profile") == "switch"):
            raise WrongTarget("profile and subject of the archive contradict each other", hint="ask the sender")
        if said != kind:
            raise WrongTarget(
                f"the archive is about a {said}, and the target is a {kind}",
                hint=f"use {_OPTIONS[SubjectKind(str(said))]} ID",
            )


def parse_allowed(texts: Iterable[str]) -> tuple[ColumnMapping, ...]:
    """Parse `DATASET.COLUMN` and `DATASET.COLUMN:THEIRS=OURS`, such as `account/memberships.role:owner=admin`.

    Raises: WrongTarget for a column that needs no mapping or does not exist.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    for text in texts:
        place, _, pair = text.partition(":")
        dataset, _, column = place.partition(".")
        rules = RULES.get(dataset)
        if rules is None or rules.columns.get(column) is not ColumnUse.NEVER:
            raise WrongTarget(
                f"{place!r} is not a column that needs a mapping", hint="docs/importing-columns.md lists the columns"
            )
        theirs, equals, ours = pair.partition("=")
        if pair and not equals:
            raise WrongTarget(f"{text!r} maps no value", hint="use DATASET.COLUMN:THEIRS=OURS")
        found.setdefault((dataset, column), {}).update({theirs: ours} if pair else {})
    return tuple(ColumnMapping(dataset, column, values) for (dataset, column), values in found.items())


def parse_people(texts: Iterable[str]) -> Mapping[str, str]:
    """Parse `THEIRS=OURS`. Raises WrongTarget."""
    pairs = [text.partition("=") for text in texts]
    if any(not theirs or not ours for theirs, _, ours in pairs):
        raise WrongTarget("--map-user maps no account", hint="use --map-user THEIRS=OURS")
    return {theirs: ours for theirs, _, ours in pairs}


def mapped(mapping: ColumnMapping, value: JSON) -> tuple[bool, JSON]:
    """Return whether a value may be imported, and as which value."""
    if not mapping.values:
        return True, value
    return (value in mapping.values, mapping.values.get(value)) if isinstance(value, str) else (False, None)
