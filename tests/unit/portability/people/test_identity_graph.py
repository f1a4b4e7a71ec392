from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from factories import MadeUpExporter

from portability.api import Exporter, Identity, IdentityUse, Subject, SubjectKind
from portability.api.errors import SourceUnavailable
from portability.api.nouns import first_identity
from portability.people.identity_graph import ConflictCode, IdentityGraph, IdentityProof, graph
from portability.source_trust import EVERY_SOURCE, SourceTrust

MAIL = "jane@mail.example"


@dataclass
class Leading(MadeUpExporter):
    """Finds identities by the values that the subject has already."""

    records: Sequence[Mapping[str, str]] = ()
    leads: Mapping[str, Sequence[Identity]] = field(default_factory=dict)
    identity_use: IdentityUse = field(default_factory=IdentityUse)
    subject_kinds: frozenset[SubjectKind] = frozenset(SubjectKind)

    def identities(self, subject: Subject) -> Sequence[Identity]:
        return [one for i in subject.identities if i.verified for one in self.leads.get(i.value, ())]


@dataclass
class Unanswering(Leading):
    """Does not answer."""

    def identities(self, _subject: Subject) -> Sequence[Identity]:
        raise SourceUnavailable("away")


def found(kind: str, value: str, tenant: str | None = None, *, verified: bool = True) -> Identity:
    return Identity("", kind, value, verified=verified, tenant=tenant)


def plain(_name: str, call: Callable[[], object]) -> object:
    return call()


def of(
    exporters: Mapping[str, Exporter],
    subject: tuple[SubjectKind, str, str | None] = (SubjectKind.USER, "usr_1", None),
    decided: Mapping[tuple[str | None, str, str], bool] | None = None,
    trust: SourceTrust = EVERY_SOURCE,
) -> IdentityGraph:
    kind, identifier, tenant = subject
    named = Subject(kind, tenant, "sub_1", (first_identity(kind, identifier, tenant),))
    return graph(named, exporters, plain, decided or {}, trust)


def test_each_identity_has_its_source_its_way_and_its_proof() -> None:
    """The request's is the first; an unverified one selects nowhere; a decision of an officer is a proof of its own."""
    calls = [found("call_id", "call_1", "ten_1", verified=False), found("call_id", "call_2", "ten_1", verified=False)]
    exporters = {
        "account": Leading(leads={"usr_1": [found("email", MAIL)]}),
        "crm": Leading(leads={MAIL: [found("contact_id", "con_1", "ten_1")]}),
        "calls": Leading(leads={"con_1": calls}),
    }
    trust = SourceTrust({"account": frozenset(), "crm": frozenset({"account"})})
    made = of(exporters, decided={("ten_1", "call_id", "call_1"): True}, trust=trust)
    everyone = ("account", "crm", "calls")
    assert [(n.number, n.source, n.identity.value, n.proof, n.through, n.accepted_by) for n in made.nodes] == [
        (1, "request", "usr_1", IdentityProof.REQUEST, (), everyone),
        (2, "account", MAIL, IdentityProof.SOURCE, (1,), everyone),
        (3, "crm", "con_1", IdentityProof.SOURCE, (2,), ("crm", "calls")),
        (4, "calls", "call_1", IdentityProof.DECISION, (3,), ("calls",)),
        (5, "calls", "call_2", IdentityProof.UNVERIFIED, (3,), ()),
    ]
    assert (made.conflicts, made.duplicates, made.unresolved) == ([], [], {})


def test_machines_get_no_value() -> None:
    """Numbers stand for the identities: the output ends in files and logs."""
    exporters = {"account": Leading(leads={"usr_1": [found("email", MAIL), found("user_id", "usr_2")]})}
    shown = str(of(exporters).view())
    assert not [value for value in ("usr_1", "usr_2", "jane") if value in shown]
    assert "'verified_by': " in shown


def test_two_people_for_one_request_are_named() -> None:
    """An export of this subject fails; the officer sees which source has the other person."""
    made = of({"crm": Leading(leads={"usr_1": [found("user_id", "usr_2")]})})
    (conflict,) = made.conflicts
    assert (conflict.code, conflict.numbers) == (ConflictCode.TWO_PEOPLE, (1, 2))
    assert conflict.sources == ("request", "crm")


@pytest.mark.parametrize(("other", "conflicts"), [("con_2", [(2, 3)]), ("con_1", [])])
def test_two_sources_with_different_people_for_one_identity_are_named(
    other: str, conflicts: list[tuple[int, ...]]
) -> None:
    """Of the same tenant; if they agree on a person, there is no conflict."""
    exporters = {
        "crm": Leading(leads={"usr_1": [found("contact_id", "con_1", "ten_1")]}),
        "desk": Leading(leads={"usr_1": [found("contact_id", other, "ten_1")]}),
        "elsewhere": Leading(leads={"usr_1": [found("contact_id", "con_9", "ten_2")]}),
    }
    assert [one.numbers for one in of(exporters).conflicts] == conflicts


@pytest.mark.parametrize(("owner", "conflicts"), [("usr_2", 1), ("usr_1", 0)])
def test_a_proved_address_of_another_account_is_named(owner: str, conflicts: int) -> None:
    """Verified in one source, and proved by another account elsewhere, in whatever notation."""
    exporters = {
        "crm": Leading(leads={"usr_1": [found("email", "Jane@Mail.example")]}),
        "account": Leading(leads={MAIL: [found("user_id", owner)]}),
    }
    made = of(exporters)
    assert [(one.code, one.numbers, one.sources) for one in made.conflicts] == [
        (ConflictCode.ADDRESS_OF_ANOTHER, (2,), ("crm", "account"))
    ] * conflicts


def test_each_proved_address_is_looked_up() -> None:
    """The thirtieth address of a person belongs to another account."""
    addresses = [f"Jane{number}@Mail.example" for number in range(30)]
    exporters = {
        "crm": Leading(leads={"usr_1": [found("email", address) for address in addresses]}),
        "account": Leading(leads={addresses[-1].lower(): [found("user_id", "usr_2")]}),
    }
    (conflict,) = of(exporters).conflicts
    assert (conflict.code, conflict.numbers) == (ConflictCode.ADDRESS_OF_ANOTHER, (31,))


def test_an_address_that_belongs_to_an_account_is_named() -> None:
    """A request for this address is refused: the account's login is the way to the data."""
    exporters = {"account": Leading(leads={MAIL: [found("user_id", "usr_1")]})}
    (conflict,) = of(exporters, (SubjectKind.EMAIL, MAIL, None)).conflicts
    assert (conflict.code, conflict.numbers) == (ConflictCode.ADDRESS_OF_ANOTHER, (1, 2))


def test_several_records_of_a_person_in_one_source_are_duplicates() -> None:
    """By a kind that means a person, by the source's own kind, or where the source calls it a duplicate."""
    desk = IdentityUse(frozenset({"requestor", "ticket_id"}), frozenset({"requestor", "ticket_id"}), {"ticket_id": "t"})
    two = [found("contact_id", "con_1", "ten_1"), found("contact_id", "con_2", "ten_1")]
    requestors = [found("requestor", "1"), found("requestor", "2")]
    exporters = {
        "crm": Leading(leads={"usr_1": [*two, found("contact_id", "con_3", "ten_2")]}),
        "desk": Leading(
            leads={"usr_1": [*requestors, found("ticket_id", "7"), found("ticket_id", "8")]}, identity_use=desk
        ),
        "old": Leading(leads={"usr_1": [found("duplicate_contact_id", "con_8", "ten_1", verified=False)]}),
    }
    duplicates = [(one.source, one.kind, len(one.numbers)) for one in of(exporters).duplicates]
    assert duplicates == [("crm", "contact_id", 2), ("desk", "requestor", 2), ("old", "contact_id", 1)]


def test_a_source_without_an_answer_is_named() -> None:
    """What it would find is unknown, and the rest is shown."""
    made = of({"account": Leading(leads={"usr_1": [found("email", MAIL)]}), "crm": Unanswering()})
    assert len(made.nodes) == 2
    assert made.unresolved["crm"].reason == "source_unavailable"
