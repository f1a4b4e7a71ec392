from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from factories import MadeUpExporter

from portability.api import Exporter, Identity, Subject, SubjectKind
from portability.errors import SourceRefused, SourceUnavailable
from portability.refusals import AmbiguousSubject
from portability.subjects import ROUNDS_MAX, first_identity, resolve


def identity(value: str, kind: str = "phone", *, tenant: str | None = None) -> Identity:
    return Identity("made", kind, value, verified=True, tenant=tenant)


@dataclass
class Resolver(MadeUpExporter):
    """Finds identities by the values that the subject has already."""

    records: Sequence[Mapping[str, str]] = ()
    found: Mapping[str, Sequence[Identity]] = field(default_factory=dict)
    asked: int = 0

    def identities(self, subject: Subject) -> Sequence[Identity]:
        self.asked += 1
        return [new for known in subject.identities for new in self.found.get(known.value, ())]


@dataclass
class Chain(Resolver):
    """Always finds one more."""

    def identities(self, subject: Subject) -> Sequence[Identity]:
        return [identity(str(len(subject.identities)))]


def user(value: str = "usr_1") -> Subject:
    return Subject(SubjectKind.USER, None, "sub_1", (first_identity(SubjectKind.USER, value, None),))


def values(subject: Subject) -> list[str]:
    return [i.value for i in subject.identities]


def test_identities_lead_to_identities_until_nothing_new_comes() -> None:
    """What one exporter finds another one may need, in whatever order they are asked."""
    exporters: Mapping[str, Exporter] = {
        "late": Resolver(found={"mail": [identity("phone")]}),
        "middle": Resolver(found={"con_1": [identity("mail")]}),
        "first": Resolver(found={"usr_1": [identity("con_1")]}),
        "mute": MadeUpExporter([]),
    }
    assert values(resolve(user(), exporters)) == ["usr_1", "con_1", "mail", "phone"]


def test_exporters_that_find_each_others_identities_come_to_an_end() -> None:
    """A circle is nothing new."""
    resolver = Resolver(found={"usr_1": [identity("a")], "a": [identity("b")], "b": [identity("a")]})
    assert values(resolve(user(), {"made": resolver})) == ["usr_1", "a", "b"]
    assert resolver.asked == 3


def test_a_source_that_always_finds_another_identity_is_refused() -> None:
    """A broken plugin must not hold a worker for ever; the message counts and tells no identity."""
    with pytest.raises(SourceRefused, match=rf"sub_1 are without end: {ROUNDS_MAX + 1} so far"):
        resolve(user(), {"made": Chain()})


@pytest.mark.parametrize("kind", [SubjectKind.CONTACT, SubjectKind.TENANT])
def test_the_wall_drops_what_belongs_to_another_tenant(kind: SubjectKind) -> None:
    """A contact is a contact of one tenant: what a plugin finds elsewhere, or platform-wide, is somebody else."""
    subject = Subject(kind, "ten_1", "sub_1", (first_identity(kind, "x", "ten_1"),))
    found = [identity("here", tenant="ten_1"), identity("there", tenant="ten_2"), identity("nowhere")]
    assert values(resolve(subject, {"made": Resolver(found={"x": found})})) == ["x", "here"]


def test_a_user_may_be_a_contact_of_several_tenants() -> None:
    """Which of them may be read is the plan's to decide, by their instructions."""
    found = [identity("here", tenant="ten_1"), identity("there", tenant="ten_2")]
    assert values(resolve(user(), {"made": Resolver(found={"usr_1": found})})) == ["usr_1", "here", "there"]


@pytest.mark.parametrize(
    ("kind", "named"),
    [(SubjectKind.USER, "user_id"), (SubjectKind.CONTACT, "contact_id"), (SubjectKind.TENANT, "tenant_id")],
)
def test_identities_of_two_people_are_refused(kind: SubjectKind, named: str) -> None:
    """Two accounts, two contacts of one tenant, two companies: nobody knows whose data it would be."""
    tenant = None if kind is SubjectKind.USER else "ten_1"
    subject = Subject(kind, tenant, "sub_1", (first_identity(kind, "jane", tenant),))
    found = [identity("joan", named, tenant=tenant)]
    with pytest.raises(AmbiguousSubject, match="sub_1 lead to 2 people") as raised:
        resolve(subject, {"made": Resolver(found={"jane": found})})
    assert "jane" not in str(raised.value)
    assert "joan" not in str(raised.value)


def test_what_is_not_verified_makes_nobody_two() -> None:
    """An unverified identity selects nothing; one of another tenant is another subject."""
    found = [
        Identity("made", "user_id", "usr_2", verified=False),
        identity("usr_1", "user_id"),
        identity("usr_3", "user_id", tenant="ten_1"),
    ]
    assert len(values(resolve(user(), {"made": Resolver(found={"usr_1": found})}))) == 4


@pytest.mark.parametrize("error", [SourceUnavailable, SourceRefused])
def test_without_identities_there_is_no_export(error: type[Exception]) -> None:
    """A source that cannot name the subject stops the export: half a subject would look like a whole one."""

    class Blind(Resolver):
        def identities(self, subject: Subject) -> Sequence[Identity]:
            raise error(subject.ref)

    with pytest.raises(error):
        resolve(user(), {"made": Blind()})


@pytest.mark.parametrize("kind", SubjectKind)
def test_the_identity_of_a_request_is_verified(kind: SubjectKind) -> None:
    """Whoever accepted the request has checked it, within the tenant that it names."""
    first = first_identity(kind, "x", "ten_1")
    assert (first.verified, first.value, first.tenant) == (True, "x", "ten_1")


def test_an_identity_does_not_show_its_value() -> None:
    """Identities reach logs through repr: the value is personal."""
    assert "jane" not in repr(user("jane"))
    assert "sub_1" in repr(user("jane"))
