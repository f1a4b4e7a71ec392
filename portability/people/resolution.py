"""Identity resolution: finds a subject's other identities through plug-ins, and records what could not be found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

from portability.api import ADDRESS_KINDS, Exporter, Identity, ResolvingExporter, Subject, SubjectKind
from portability.api.errors import ExporterFault, SourceError
from portability.api.nouns import FIRST_IDENTITY
from portability.errors import AddressOfAccount, AmbiguousSubject
from portability.source_trust import EVERY_SOURCE, SourceTrust, leads, may_find, use_of

ROUNDS_MAX = 20
"""Limit of rounds in which identities lead to further identities, for a source that finds identities without end."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Resolving:
    """The resolution that runs."""

    plugins: Collection[str]
    """The names of the plug-ins whose identities are needed."""
    read: dict[Hashable, object] = field(default_factory=dict)
    """What they have read, by their own keys."""


_resolving: ContextVar[_Resolving | None] = ContextVar("resolving", default=None)

Decided: TypeAlias = Mapping[tuple[str | None, str, str], bool]
"""By tenant, kind and value of an unverified identity: whether a person decided that it is the subject's."""
Ask: TypeAlias = Callable[[str, Callable[[], object]], object]
"""Calls `identities()` of the plug-in with that name. Raises SourceError for every fault."""
Check: TypeAlias = Callable[[Subject, Iterable[Identity]], None]
"""Checks the identities that are known so far; raises if they must not be used."""


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why the identities that a plug-in would find are unknown."""

    reason: str
    """The code of the plug-in's error."""
    retryable: bool = True


@dataclass(frozen=True, slots=True)
class Resolution:
    """A subject with its known identities."""

    subject: Subject
    """The subject with all identities from the plug-ins that worked."""
    unresolved: Mapping[str, Unresolved]
    """By plug-in name: its identities are missing."""
    through: Mapping[Identity, tuple[Identity, ...]] = field(default_factory=dict)
    """For each identity that was found, those that led to it; several if it is unknown which of them."""


def check_one_person(subject: Subject, identities: Iterable[Identity]) -> None:
    """Check that identifiers that mean one person occur once: with a wrong one, data would go to a stranger.

    A user may be several contacts, at one or several tenants. Raises AmbiguousSubject, AddressOfAccount.
    """
    _, named = FIRST_IDENTITY[subject.kind]
    _, account = FIRST_IDENTITY[SubjectKind.USER]
    people = {i.value for i in identities if i.verified and i.kind == named and i.tenant == subject.tenant}
    if subject.kind in ADDRESS_KINDS and any(i.verified and i.kind == account for i in identities):
        raise AddressOfAccount(f"the address of {subject.ref} belongs to an account")
    if len(people) > 1:
        raise AmbiguousSubject(f"the verified identities of {subject.ref} belong to {len(people)} people")


def resolve(
    subject: Subject,
    exporters: Mapping[str, Exporter],
    ask: Ask,
    unresolved: Mapping[str, Unresolved] | None = None,
    decided: Decided | None = None,
    *,
    trust: SourceTrust = EVERY_SOURCE,
    check: Check = check_one_person,
) -> Resolution:
    """Return the subject with every identity that the exporters find, until no new one is found.

    A plug-in that fails is left out with everything it found; `unresolved` are those left out from the start. An
    unverified identity on which a person `decided` becomes verified, or is left out. Each plug-in gets the identities
    that it trusts.

    Raises: what `check` raises, by default
        AmbiguousSubject: the identities belong to two people.
        AddressOfAccount: the subject is an address, and it belongs to an account.
    """
    failed = dict(unresolved or {})
    token = _resolving.set(_Resolving(exporters.keys()))
    try:
        while True:
            resolvers = {
                name: exporter
                for name, exporter in exporters.items()
                if name not in failed and isinstance(exporter, ResolvingExporter) and may_find(exporter)
            }
            search = _Search(resolvers, ask, decided or {}, trust, check)
            found = search.run(subject, failed)
            if found is not None:
                return Resolution(found, failed, search.through)
    finally:
        _resolving.reset(token)


def shared(key: Hashable, read: Callable[[], T]) -> T:
    """Return what another plug-in has read under this key for the same resolution, else what `read` returns now.

    Several plug-ins of a platform need the same rows, in each round. Outside of a resolution nothing is kept.
    """
    running = _resolving.get()
    if running is None:
        return read()
    if key not in running.read:
        running.read[key] = read()
    return cast("T", running.read[key])


def resolving() -> Collection[str]:
    """Return the plug-ins that the resolution needs: one may read for all of them. Empty outside of a resolution."""
    running = _resolving.get()
    return running.plugins if running else ()


@contextmanager
def alone() -> Iterator[None]:
    """Ask one plug-in for itself in this block: what others need is neither read nor kept."""
    token = _resolving.set(None)
    try:
        yield
    finally:
        _resolving.reset(token)


def identities_of(name: str, exporter: ResolvingExporter, subject: Subject, ask: Ask) -> Sequence[Identity]:
    """Return the identities that a plug-in finds, with its name as their source.

    Raises: SourceError; ExporterFault for another value, with types and without values.
    """
    given = ask(name, partial(exporter.identities, subject))
    if not isinstance(given, Sequence):
        raise ExporterFault(f"{name}: identities() returned a {type(given).__name__} instead of a sequence")
    for one in given:
        if not isinstance(one, Identity) or not _is_valid(one):
            raise ExporterFault(f"{name}: identities() returned a {type(one).__name__} that is not a valid Identity")
    return [one if one.source == name else replace(one, source=name) for one in given]


def needed(
    exporters: Mapping[str, Exporter], include: Iterable[str] | None, trust: SourceTrust = EVERY_SOURCE
) -> Mapping[str, Exporter]:
    """Return the exporters whose identities an export needs: all, or those included and those that they depend on."""
    if include is None:
        return exporters
    wanted = frozenset(include)
    led = (led_by(name, exporters, trust, assume=False) for name in wanted & exporters.keys())
    needed = frozenset[str]().union(*led)
    return {name: exporter for name, exporter in exporters.items() if name in wanted | needed}


def led_by(
    name: str, exporters: Mapping[str, Exporter], trust: SourceTrust = EVERY_SOURCE, *, assume: bool
) -> frozenset[str]:
    """Return the plug-ins whose identities lead to data of this exporter, directly or through other identities.

    With `assume`, a plug-in without a declaration may use and find everything; without it, nothing.
    """
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        reader = waiting.pop()
        accepted = (other for other in exporters.keys() - reached if trust.accepts(reader, other))
        more = [one for one in accepted if leads(exporters[one], exporters[reader], assume=assume)]
        reached.update(more)
        waiting += more
    return frozenset(reached)


@dataclass(slots=True)
class _Search:
    """Asks plug-ins for identities, in rounds."""

    resolvers: Mapping[str, ResolvingExporter]
    ask: Ask
    decided: Decided
    trust: SourceTrust
    check: Check
    through: dict[Identity, tuple[Identity, ...]] = field(default_factory=dict)

    def run(self, subject: Subject, failed: dict[str, Unresolved]) -> Subject | None:
        """Return the subject with all that is found; None if a plug-in has failed, which is then in `failed`."""
        finders: list[str] = []
        fresh: Sequence[Identity] = subject.identities
        for _ in range(ROUNDS_MAX):
            found = dict.fromkeys(subject.identities)
            finders = []
            for name in self.resolvers:
                try:
                    new = self._found_by(name, subject)
                except SourceError as error:
                    failed[name] = Unresolved(error.code, error.retryable)
                    return None
                if more := new.keys() - found.keys():
                    finders.append(name)
                    self.through |= dict.fromkeys(more, self._leading(name, fresh))
                found |= new
            self.check(subject, found)
            if not finders:
                return subject
            fresh = tuple(found.keys() - dict.fromkeys(subject.identities).keys())
            subject = replace(subject, identities=tuple(found))
        failed |= dict.fromkeys(finders, Unresolved(ExporterFault.code, ExporterFault.retryable))
        return None

    def _found_by(self, name: str, subject: Subject) -> dict[Identity, None]:
        given = identities_of(name, self.resolvers[name], self.trust.subject_for(name, subject), self.ask)
        return dict.fromkeys(_within_tenant(subject, [*_as_decided(given, self.decided)]))

    def _leading(self, name: str, fresh: Iterable[Identity]) -> tuple[Identity, ...]:
        """Return those of the identities of the last round by which a plug-in finds others, in a stable order."""
        accepted = [i for i in fresh if i not in self.through or self.trust.accepts(name, i.source)]
        kinds = use_of(self.resolvers[name]).selects_by
        used = [i for i in accepted if i.verified and (kinds is None or i.kind in kinds)]
        return tuple(sorted(used or accepted, key=lambda i: (i.source, i.kind, i.tenant or "", i.value)))


def _as_decided(identities: Iterable[Identity], decided: Decided) -> Iterator[Identity]:
    for one in identities:
        is_theirs = None if one.verified else decided.get((one.tenant, one.kind, one.value))
        if is_theirs is not False:
            yield replace(one, verified=True) if is_theirs else one


def _is_valid(identity: Any) -> bool:  # noqa: ANN401  # an Identity, with whatever is in its fields
    texts = (identity.source, identity.kind, identity.value, identity.tenant or "")
    return all(isinstance(text, str) for text in texts) and isinstance(identity.verified, bool)


def _within_tenant(subject: Subject, identities: Sequence[Identity]) -> list[Identity]:
    # A contact belongs to one tenant: an identity at another tenant is another person.
    if subject.tenant is None:
        return list(identities)
    return [identity for identity in identities if identity.tenant == subject.tenant]
