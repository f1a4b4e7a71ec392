"""The identities of a person by source: found through which, verified how, with conflicts and duplicates.

It asks every source, as an export does, and reads no records.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from portability.api import (
    ADDRESS_KINDS,
    JSON,
    STAFF_IDENTITY,
    Exporter,
    Identity,
    ResolvingExporter,
    Subject,
    SubjectKind,
)
from portability.api.errors import SourceError
from portability.api.nouns import FIRST_IDENTITY, first_identity
from portability.people import resolution
from portability.people.addresses import email, phone
from portability.people.resolution import Ask, Decided, Resolution, Unresolved
from portability.source_trust import SourceTrust, use_of

DUPLICATE = "duplicate_"
"""The beginning of the kinds of identities that name further records of the same person."""
REQUEST = "request"
"""The source of the identity that a request names."""
ACCOUNT = FIRST_IDENTITY[SubjectKind.USER][1]


class IdentityProof(StrEnum):
    """How an identity is verified."""

    REQUEST = "request"
    """The request names it: it is verified when a request is accepted."""
    SOURCE = "source"
    """Its source calls it verified."""
    DECISION = "decision"
    """An officer decided a review."""
    UNVERIFIED = "unverified"
    """It selects nothing."""


class ConflictCode(StrEnum):
    """What contradicts itself."""

    TWO_PEOPLE = "two_people"
    """Verified identities name different people, of which only one can be the subject."""
    ADDRESS_OF_ANOTHER = "address_of_another"
    """A verified address of the subject is, according to a source, that of another account."""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """An identity of the subject."""

    number: int
    """From 1, in the order of finding; the first is the request's."""
    identity: Identity
    source: str
    """The source that found it, or REQUEST."""
    proof: IdentityProof
    through: tuple[int, ...]
    """Numbers of the identities that led to it; several if it is unknown which."""
    accepted_by: tuple[str, ...]
    """The sources in which it selects; empty for an unverified identity."""


@dataclass(frozen=True, slots=True)
class IdentityConflict:
    """Identities of which not all can be the subject's."""

    code: ConflictCode
    numbers: tuple[int, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DuplicateRecords:
    """Several records of the subject in one source."""

    source: str
    kind: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class IdentityGraph:
    """The identities of a subject, and what is wrong with them."""

    nodes: Sequence[GraphNode]
    conflicts: Sequence[IdentityConflict]
    duplicates: Sequence[DuplicateRecords]
    unresolved: Mapping[str, Unresolved]
    """By source: what it would find is unknown."""

    def view(self) -> dict[str, JSON]:
        """Return the graph as JSON, without values: its readers may be files and logs."""
        return {
            "identities": [_node_view(node) for node in self.nodes],
            "conflicts": [
                {"code": one.code, "identities": [*one.numbers], "sources": [*one.sources]} for one in self.conflicts
            ],
            "duplicates": [
                {"source": one.source, "kind": one.kind, "identities": [*one.numbers]} for one in self.duplicates
            ],
            "unresolved": [
                {"source": name, "reason": why.reason, "retryable": why.retryable}
                for name, why in self.unresolved.items()
            ],
        }


def graph(
    subject: Subject, exporters: Mapping[str, Exporter], ask: Ask, decided: Decided, trust: SourceTrust
) -> IdentityGraph:
    """Return the identities of a subject, which has the one that a request names.

    A source that fails is named in `unresolved`.
    """
    found = resolution.resolve(subject, exporters, ask, decided=decided, trust=trust, check=_unchecked)
    nodes = list(_nodes(found, exporters, decided, trust))
    unresolved = dict(found.unresolved)
    conflicts = [*_two_people(found.subject, nodes)]
    conflicts += _addresses_of_others(found.subject, nodes, exporters, ask, unresolved)
    return IdentityGraph(nodes, conflicts, [*_duplicates(nodes, exporters)], unresolved)


def _unchecked(subject: Subject, identities: Iterable[Identity]) -> None:
    """Accept identities of two people: the graph shows them."""


def _nodes(
    found: Resolution, exporters: Mapping[str, Exporter], decided: Decided, trust: SourceTrust
) -> Iterator[GraphNode]:
    numbers = {identity: number for number, identity in enumerate(found.subject.identities, start=1)}
    for identity, number in numbers.items():
        proof = _proof(number, identity, decided)
        accepting = [name for name in exporters if number == 1 or trust.accepts(name, identity.source)]
        yield GraphNode(
            number,
            identity,
            REQUEST if number == 1 else identity.source,
            proof,
            tuple(sorted(numbers[one] for one in found.through.get(identity, ()))),
            () if proof is IdentityProof.UNVERIFIED else tuple(accepting),
        )


def _proof(number: int, identity: Identity, decided: Decided) -> IdentityProof:
    if number == 1:
        return IdentityProof.REQUEST
    if not identity.verified:
        return IdentityProof.UNVERIFIED
    is_decided = decided.get((identity.tenant, identity.kind, identity.value))
    return IdentityProof.DECISION if is_decided else IdentityProof.SOURCE


def _two_people(subject: Subject, nodes: Sequence[GraphNode]) -> Iterator[IdentityConflict]:
    """Yield where the subject has two identities of the requested kind, or two sources have different people."""
    _, requested = FIRST_IDENTITY[subject.kind]
    people: dict[tuple[str, str | None], list[GraphNode]] = defaultdict(list)
    for node in nodes:
        if node.identity.verified and node.identity.kind in _PEOPLE:
            people[node.identity.kind, node.identity.tenant].append(node)
    for (kind, tenant), group in people.items():
        values = {source: {one.identity.value for one in group if one.source == source} for source in _sources(group)}
        is_requested = (kind, tenant) == (requested, subject.tenant)
        is_shared = bool(set.intersection(*values.values()))
        if len(set.union(*values.values())) > 1 and (is_requested or not is_shared):
            yield IdentityConflict(ConflictCode.TWO_PEOPLE, _numbers(group), _sources(group))
    if subject.kind in ADDRESS_KINDS and (accounts := people.get((ACCOUNT, None))):
        yield IdentityConflict(ConflictCode.ADDRESS_OF_ANOTHER, (1, *_numbers(accounts)), _sources(accounts))


def _addresses_of_others(
    subject: Subject,
    nodes: Sequence[GraphNode],
    exporters: Mapping[str, Exporter],
    ask: Ask,
    unresolved: dict[str, Unresolved],
) -> Iterator[IdentityConflict]:
    """Yield the proved addresses that, as another source says, belong to another account."""
    own = {node.identity.value for node in nodes if node.identity.verified and node.identity.kind == ACCOUNT}
    proved: dict[tuple[SubjectKind, str], list[GraphNode]] = defaultdict(list)
    for node in nodes if own else ():
        if node.identity.verified and (address := _address(node.identity)):
            proved[address].append(node)
    for (kind, form), group in proved.items():
        asked = Subject(kind, None, subject.ref, (first_identity(kind, form, None),))
        owned = [name for name, owners in owners(asked, exporters, ask, unresolved) if owners - own]
        if owned:
            sources = tuple(dict.fromkeys([*_sources(group), *owned]))
            yield IdentityConflict(ConflictCode.ADDRESS_OF_ANOTHER, _numbers(group), sources)


def owners(
    asked: Subject, exporters: Mapping[str, Exporter], ask: Ask, unresolved: dict[str, Unresolved]
) -> Iterator[tuple[str, set[str]]]:
    """Yield the accounts that have proved an address, by source."""
    for name, exporter in exporters.items():
        is_asked = name not in unresolved and asked.kind in exporter.subject_kinds
        if not is_asked or not isinstance(exporter, ResolvingExporter):
            continue
        try:
            found = resolution.identities_of(name, exporter, asked, ask)
        except SourceError as error:
            unresolved[name] = Unresolved(error.code, error.retryable)
            continue
        yield name, {one.value for one in found if one.verified and one.kind == ACCOUNT}


def _address(identity: Identity) -> tuple[SubjectKind, str] | None:
    """Return an address as a subject of its own, in its normal form; None for another identity."""
    if identity.kind not in ADDRESS_KINDS:
        return None
    kind = SubjectKind(identity.kind)
    form = email(identity.value) if kind is SubjectKind.EMAIL else phone(identity.value)
    return None if form is None else (kind, form)


def _duplicates(nodes: Sequence[GraphNode], exporters: Mapping[str, Exporter]) -> Iterator[DuplicateRecords]:
    """Yield where a source has several records of the subject at one tenant."""
    groups: dict[tuple[str, str | None, str], list[GraphNode]] = defaultdict(list)
    for node in nodes:
        kind = node.identity.kind.removeprefix(DUPLICATE)
        if node.source in exporters and (node.identity.kind != kind or _is_record(kind, exporters[node.source])):
            groups[node.source, node.identity.tenant, kind].append(node)
    for (source, _tenant, kind), group in groups.items():
        if len({node.identity.value for node in group}) > 1 or group[0].identity.kind != kind:
            yield DuplicateRecords(source, kind, _numbers(group))


def _is_record(kind: str, exporter: Exporter) -> bool:
    """Return whether identities of a kind name the source's own record of a person: it finds them and selects by them.

    A kind that a person must review names another record, such as a call.
    """
    use = use_of(exporter)
    is_own = kind in (use.finds or ()) and kind in (use.selects_by or ())
    return kind in _PEOPLE or (is_own and kind not in {*ADDRESS_KINDS, STAFF_IDENTITY, *use.reviewed})


def _numbers(nodes: Iterable[GraphNode]) -> tuple[int, ...]:
    return tuple(node.number for node in nodes)


def _sources(nodes: Iterable[GraphNode]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(node.source for node in nodes))


def _node_view(node: GraphNode) -> dict[str, JSON]:
    return {
        "number": node.number,
        "source": node.source,
        "kind": node.identity.kind,
        "tenant": node.identity.tenant,
        "verified_by": node.proof,
        "through": [*node.through],
        "accepted_by": [*node.accepted_by],
    }


_PEOPLE = frozenset({ACCOUNT, FIRST_IDENTITY[SubjectKind.CONTACT][1]})
"""Kinds of identities that mean one person on a platform, or at a tenant."""
