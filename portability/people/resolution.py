"""Identity resolution: finds a subject's other identities through plug-ins, and records what could not be found."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

from portability.api import (
    ADDRESS_KINDS,
    DeclaringExporter,
    Exporter,
    Identity,
    IdentityUse,
    ResolvingExporter,
    Subject,
    SubjectKind,
)
from portability.api.errors import ExporterFault, SourceError
from portability.api.nouns import FIRST_IDENTITY
from portability.errors import AddressOfAccount, AmbiguousSubject

ROUNDS_MAX = 20
"""Limit of rounds in which identities lead to further identities, for a source that finds identities without end."""

T = TypeVar("T")
_shared: ContextVar[dict[Hashable, object] | None] = ContextVar("shared", default=None)
"""What plug-ins have read for the resolution that runs, by their own keys."""

Decided: TypeAlias = Mapping[tuple[str | None, str, str], bool]
"""By tenant, kind and value of an unverified identity: whether a person decided that it is the subject's."""
Ask: TypeAlias = Callable[[str, Callable[[], object]], object]
"""Calls `identities()` of the plug-in with that name. Raises SourceError for every fault."""


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


def resolve(
    subject: Subject,
    exporters: Mapping[str, Exporter],
    ask: Ask,
    unresolved: Mapping[str, Unresolved] | None = None,
    decided: Decided | None = None,
) -> Resolution:
    """Return the subject with every identity that the exporters find, until no new one is found.

    A plug-in that fails is left out with everything it found; `unresolved` are those left out from the start. An
    unverified identity on which a person `decided` becomes verified, or is left out.

    Raises:
        AmbiguousSubject: the identities belong to two people.
        AddressOfAccount: the subject is an address, and it belongs to an account.
    """
    failed = dict(unresolved or {})
    token = _shared.set({})
    try:
        while True:
            resolvers = {
                name: exporter
                for name, exporter in exporters.items()
                if name not in failed and isinstance(exporter, ResolvingExporter) and _may_find(exporter)
            }
            found = _resolve_all(subject, resolvers, ask, failed, decided or {})
            if found is not None:
                return Resolution(found, failed)
    finally:
        _shared.reset(token)


def shared(key: Hashable, read: Callable[[], T]) -> T:
    """Return what another plug-in has read under this key for the same resolution, else what `read` returns now.

    Several plug-ins of a platform need the same rows, in each round. Outside of a resolution nothing is kept.
    """
    known = _shared.get()
    if known is None:
        return read()
    if key not in known:
        known[key] = read()
    return cast("T", known[key])


def needed(exporters: Mapping[str, Exporter], include: Iterable[str] | None) -> Mapping[str, Exporter]:
    """Return the exporters whose identities an export needs: all, or those included and those that they depend on."""
    if include is None:
        return exporters
    wanted = frozenset(include)
    needed = frozenset().union(*(led_by(name, exporters, assume=False) for name in wanted & exporters.keys()))
    return {name: exporter for name, exporter in exporters.items() if name in wanted | needed}


def led_by(name: str, exporters: Mapping[str, Exporter], *, assume: bool) -> frozenset[str]:
    """Return the plug-ins whose identities lead to data of this exporter, directly or through other identities.

    With `assume`, a plug-in without a declaration may use and find everything; without it, nothing.
    """
    resolvers = {n: _use(exporter) for n, exporter in exporters.items() if _may_find(exporter)}
    wanted, reached = _use(exporters[name]).selects_by, frozenset[str]()
    while True:
        if wanted is None:
            return frozenset(resolvers) if assume else reached
        kinds = wanted
        more = {
            n for n, use in resolvers.items() if kinds and (assume if use.finds is None else use.finds & kinds)
        } - reached
        if not more:
            return reached
        reached |= more
        leading = [resolvers[n].selects_by for n in more]
        declared = (use for use in leading if use is not None)
        wanted = None if assume and None in leading else kinds.union(*declared)


def _may_find(exporter: Exporter) -> bool:
    return isinstance(exporter, ResolvingExporter) and _use(exporter).finds != frozenset()


def _use(exporter: Exporter) -> IdentityUse:
    return exporter.identity_use if isinstance(exporter, DeclaringExporter) else IdentityUse()


def _resolve_all(
    subject: Subject,
    resolvers: Mapping[str, ResolvingExporter],
    ask: Ask,
    failed: dict[str, Unresolved],
    decided: Decided,
) -> Subject | None:
    """Return None if a plug-in has failed; it is then added to `failed`."""
    finders: list[str] = []
    for _ in range(ROUNDS_MAX):
        found = dict.fromkeys(subject.identities)
        finders = []
        for name, resolver in resolvers.items():
            try:
                given = _checked(name, ask(name, partial(resolver.identities, subject)))
            except SourceError as error:
                failed[name] = Unresolved(error.code, error.retryable)
                return None
            new = dict.fromkeys(_within_tenant(subject, [*_as_decided(given, decided)]))
            if new.keys() - found.keys():
                finders.append(name)
            found |= new
        _check_one_person(subject, found)
        if not finders:
            return subject
        subject = replace(subject, identities=tuple(found))
    failed |= dict.fromkeys(finders, Unresolved(ExporterFault.code, ExporterFault.retryable))
    return None


def _checked(name: str, given: object) -> Sequence[Identity]:
    """Check the identities that a plug-in returned. Raises ExporterFault, with types and without values."""
    if not isinstance(given, Sequence):
        raise ExporterFault(f"{name}: identities() returned a {type(given).__name__} instead of a sequence")
    for one in given:
        if not isinstance(one, Identity) or not _is_valid(one):
            raise ExporterFault(f"{name}: identities() returned a {type(one).__name__} that is not a valid Identity")
    return given


def _as_decided(identities: Iterable[Identity], decided: Decided) -> Iterator[Identity]:
    for one in identities:
        is_theirs = None if one.verified else decided.get((one.tenant, one.kind, one.value))
        if is_theirs is not False:
            yield replace(one, verified=True) if is_theirs else one


def _is_valid(identity: Any) -> bool:  # noqa: ANN401  # an Identity, with whatever is in its fields
    texts = (identity.source, identity.kind, identity.value, identity.tenant or "")
    return all(isinstance(text, str) for text in texts) and isinstance(identity.verified, bool)


def _check_one_person(subject: Subject, identities: Iterable[Identity]) -> None:
    """Check that identifiers that mean one person occur once: with a wrong one, data would go to a stranger.

    A user may be several contacts, at one or several tenants.
    """
    _, named = FIRST_IDENTITY[subject.kind]
    _, account = FIRST_IDENTITY[SubjectKind.USER]
    people = {i.value for i in identities if i.verified and i.kind == named and i.tenant == subject.tenant}
    if subject.kind in ADDRESS_KINDS and any(i.verified and i.kind == account for i in identities):
        raise AddressOfAccount(f"the address of {subject.ref} belongs to an account")
    if len(people) > 1:
        raise AmbiguousSubject(f"the verified identities of {subject.ref} belong to {len(people)} people")


def _within_tenant(subject: Subject, identities: Sequence[Identity]) -> list[Identity]:
    # A contact belongs to one tenant: an identity at another tenant is another person.
    if subject.tenant is None:
        return list(identities)
    return [identity for identity in identities if identity.tenant == subject.tenant]
