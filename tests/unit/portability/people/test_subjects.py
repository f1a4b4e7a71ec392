from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from factories import MadeUpExporter

from portability.api import Exporter, Identity, IdentityUse, Subject, SubjectKind
from portability.api.errors import SourceRefused, SourceUnavailable
from portability.api.nouns import first_identity
from portability.errors import AddressOfAccount, AmbiguousSubject, BadSubject
from portability.people import resolution, subjects
from portability.people.resolution import Unresolved, led_by, needed


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
    """A resolver that finds another identity at each call."""

    def identities(self, subject: Subject) -> Sequence[Identity]:
        return [identity(str(len(subject.identities)))]


def plainly(_name: str, call: Callable[[], object]) -> object:
    return call()


def resolve(subject: Subject, exporters: Mapping[str, Exporter]) -> Subject:
    return resolution.resolve(subject, exporters, plainly).subject


def user(value: str = "usr_1") -> Subject:
    return Subject(SubjectKind.USER, None, "sub_1", (first_identity(SubjectKind.USER, value, None),))


def values(subject: Subject) -> list[str]:
    return [i.value for i in subject.identities]


def test_identities_lead_to_identities_until_nothing_new_comes() -> None:
    """One exporter may need what another one finds, in any order of the calls."""
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


def test_a_source_that_always_finds_another_identity_is_left_out() -> None:
    """It must not block a worker, and its findings do not count; the others are called as if it were missing."""
    sound = Resolver(found={"usr_1": [identity("phone")]})
    found = resolution.resolve(user(), {"endless": Chain(), "sound": sound}, plainly)
    assert values(found.subject) == ["usr_1", "phone"]
    assert found.unresolved == {"endless": Unresolved("exporter_fault", retryable=False)}


@pytest.mark.parametrize("kind", [SubjectKind.CONTACT, SubjectKind.TENANT])
def test_the_wall_drops_what_belongs_to_another_tenant(kind: SubjectKind) -> None:
    """A contact belongs to one tenant: an identity elsewhere, or platform-wide, is another person."""
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
    """Two accounts, two contacts of one tenant, two companies: it is unknown whose data it would be."""
    tenant = None if kind is SubjectKind.USER else "ten_1"
    subject = Subject(kind, tenant, "sub_1", (first_identity(kind, "jane", tenant),))
    found = [identity("joan", named, tenant=tenant)]
    with pytest.raises(AmbiguousSubject, match="sub_1 belong to 2 people") as raised:
        resolve(subject, {"made": Resolver(found={"jane": found})})
    assert "jane" not in str(raised.value)
    assert "joan" not in str(raised.value)


def test_unverified_identities_do_not_make_two_people() -> None:
    """An unverified identity selects nothing; one of another tenant is another subject."""
    found = [
        Identity("made", "user_id", "usr_2", verified=False),
        identity("usr_1", "user_id"),
        identity("usr_3", "user_id", tenant="ten_1"),
    ]
    assert len(values(resolve(user(), {"made": Resolver(found={"usr_1": found})}))) == 4


def test_a_decision_verifies_an_unverified_identity_or_leaves_it_out() -> None:
    """Of the same tenant, kind and value only; what the source has verified needs no decision and stays."""

    def unverified(value: str) -> Identity:
        return Identity("made", "call", value, verified=False, tenant="ten_1")

    proved = replace(unverified("proved"), verified=True)
    found = [*map(unverified, ("theirs", "not_theirs", "open")), proved]
    decisions = {"theirs": True, "not_theirs": False, "proved": False}
    decided: dict[tuple[str | None, str, str], bool] = {
        ("ten_1", "call", value): is_theirs for value, is_theirs in decisions.items()
    }
    decided |= {("ten_2", "call", "open"): True, ("ten_1", "chat", "open"): False}
    plugins: Mapping[str, Exporter] = {"made": Resolver(found={"usr_1": found})}
    subject = resolution.resolve(user(), plugins, plainly, decided=decided).subject
    assert subject.identities[1:] == (replace(found[0], verified=True), found[2], proved)


def _anything(value: Any) -> Any:
    """What a stranger may have in place of a text."""
    return value


@dataclass
class Failing(Resolver):
    """Finds something at first, and gives something wrong then."""

    wrong: object = None

    def identities(self, subject: Subject) -> Any:
        self.asked += 1
        if self.asked == 1:
            return super().identities(subject)
        if isinstance(self.wrong, Exception):
            raise self.wrong
        return self.wrong


@pytest.mark.parametrize(
    ("wrong", "reason", "retryable"),
    [
        (SourceUnavailable("away"), "source_unavailable", True),
        (SourceRefused("no"), "source_refused", False),
        (None, "exporter_fault", False),
        (5, "exporter_fault", False),
        ({"usr_1": "usr_2"}, "exporter_fault", False),
        (["usr_2"], "exporter_fault", False),
        ([Identity("made", "phone", "1", verified=_anything("no"))], "exporter_fault", False),
        ([Identity("made", "phone", _anything(2))], "exporter_fault", False),
    ],
)
def test_a_plugin_that_fails_is_left_out_with_all_that_it_found(wrong: object, reason: str, retryable: bool) -> None:
    """The others are called again without its findings before the failure: half of an answer selects nothing."""
    failing = Failing(found={"usr_1": [identity("half")]}, wrong=wrong)
    other = Resolver(found={"usr_1": [identity("mail")], "half": [identity("more")]})
    found = resolution.resolve(user(), {"failing": failing, "other": other}, plainly)
    assert values(found.subject) == ["usr_1", "mail"]
    assert found.unresolved == {"failing": Unresolved(reason, retryable)}


@dataclass
class Declaring(Resolver):
    """Declares what it does with identities."""

    identity_use: IdentityUse = field(default_factory=IdentityUse)


def declaring(selects_by: str, finds: str = "") -> Declaring:
    return Declaring(identity_use=IdentityUse(frozenset(selects_by.split()), frozenset(finds.split())))


PLUGINS: Mapping[str, Exporter] = {
    "account": declaring("", "email"),
    "crm": declaring("email contact_id", "contact_id"),
    "calls": declaring("contact_id"),
    "billing": declaring(""),
    "open": Resolver(),
    "mute": MadeUpExporter([]),
}


@pytest.mark.parametrize(
    ("name", "declared", "assumed"),
    [
        ("billing", set(), set()),
        ("calls", {"crm", "account"}, {"crm", "account", "open"}),
        ("crm", {"crm", "account"}, {"crm", "account", "open"}),
        ("mute", set(), {"crm", "account", "open"}),
    ],
)
def test_what_leads_to_an_exporters_records(name: str, declared: set[str], assumed: set[str]) -> None:
    """By declared kinds, through any number of steps; a plug-in that declares nothing may use and find everything."""
    assert led_by(name, PLUGINS, assume=False) == declared
    assert led_by(name, PLUGINS, assume=True) == assumed


def test_a_plugin_that_declares_only_what_it_finds_may_use_everything() -> None:
    """If a safe answer is wanted, all that is found anywhere may lead to it; else only what others declare counts."""
    plugins: Mapping[str, Exporter] = {
        "calls": declaring("contact_id"),
        "half": Declaring(identity_use=IdentityUse(None, frozenset({"contact_id"}))),
        "crm": declaring("email", "contact_id"),
        "account": declaring("", "email"),
        "devices": declaring("", "device_id"),
    }
    assert led_by("calls", plugins, assume=False) == {"half", "crm", "account"}
    assert led_by("calls", plugins, assume=True) == {"half", "crm", "account", "devices"}


@pytest.mark.parametrize(
    ("include", "names"),
    [
        (["account"], {"account"}),
        (["billing", "open"], {"billing", "open"}),
        (["calls"], {"calls", "crm", "account"}),
        (["mute"], {"mute"}),
        (None, set(PLUGINS)),
    ],
)
def test_an_export_of_some_exporters_asks_no_other_plugin(include: list[str] | None, names: set[str]) -> None:
    """Those included, and those whose identities they declare to need."""
    assert needed(PLUGINS, include).keys() == names


@pytest.mark.parametrize("kind", SubjectKind)
def test_the_identity_of_a_request_is_verified(kind: SubjectKind) -> None:
    """The accepted request has verified it, within the tenant that it names."""
    first = first_identity(kind, "x", "ten_1")
    assert (first.verified, first.value, first.tenant) == (True, "x", "ten_1")


def test_an_identity_does_not_show_its_value() -> None:
    """Identities reach logs through repr: the value is personal."""
    assert "jane" not in repr(user("jane"))
    assert "sub_1" in repr(user("jane"))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("email:Reader@News.Example", ("email", "reader@news.example", None)),
        ("email: reader@xn--bcher-kva.example ", ("email", "reader@b\u00fccher.example", None)),
        ("email:\u212aim@news.example", ("email", "\u212aim@news.example", None)),
        ("phone:+49 30 9018-2020", ("phone", "+493090182020", None)),
        ("phone:tel:+49-30-90182020", ("phone", "+493090182020", None)),
    ],
)
def test_each_notation_of_an_address_is_the_same_subject(text: str, parsed: tuple[str, str, None]) -> None:
    """The id is the normal form, so that locks, limits and erasures see one subject."""
    assert subjects.parse(text, None) == parsed


@pytest.mark.parametrize(
    ("text", "tenant"),
    [
        ("email:nonsense.canary", None),
        ("email:canary@[192.0.2.1]", None),
        ("email:canary@mail.example, b@mail.example", None),
        ("email:canary@mail.example\r\nBcc: b@mail.example", None),
        (f"email:canary@{'long.' * 40}example", None),
        ("email:canary@mail.example", "ten_1"),
        ("phone:030 90182020", None),
        ("phone:canary", None),
        ("phone:+493090182020", "ten_1"),
    ],
)
def test_an_invalid_address_is_not_repeated(text: str, tenant: str | None) -> None:
    """The error says what is wrong without the personal data; an address has no tenant."""
    with pytest.raises(BadSubject) as raised:
        subjects.parse(text, tenant)
    assert "canary" not in f"{raised.value} {raised.value.hint}"
    assert "90182020" not in f"{raised.value} {raised.value.hint}"


@pytest.mark.parametrize("kind", [SubjectKind.EMAIL, SubjectKind.PHONE])
def test_an_address_of_an_account_is_refused(kind: SubjectKind) -> None:
    """A verified account id under the address ends the export, an unverified one does not."""
    subject = Subject(kind, None, "sub_1", (first_identity(kind, "address", None),))
    account = identity("usr_1", "user_id")
    with pytest.raises(AddressOfAccount, match="the address of sub_1 belongs to an account"):
        resolve(subject, {"made": Resolver(found={"address": [account]})})
    unproved = replace(account, verified=False)
    assert values(resolve(subject, {"made": Resolver(found={"address": [unproved]})})) == ["address", "usr_1"]


@pytest.mark.parametrize(("length", "is_valid"), [(200, True), (201, False)])
def test_an_address_is_as_long_as_any_id(length: int, is_valid: bool) -> None:
    """200 characters in its normal form, as many as an id may have."""
    domain = f"{'.'.join(['d' * 60] * 3)}.example"
    address = f"{'m' * (length - len(domain) - 1)}@{domain}"
    assert len(address) == length
    if is_valid:
        assert subjects.parse(f"email:{address}", None) == ("email", address, None)
    else:
        with pytest.raises(BadSubject, match="invalid e-mail address"):
            subjects.parse(f"email:{address}", None)


@pytest.mark.parametrize(
    ("subject", "what", "example"),
    [("email:nonsense", "invalid e-mail address", "ann@mail.example"), ("phone:12", "invalid phone number", "+62812")],
)
def test_an_error_about_an_address_shows_how_to_write_it(subject: str, what: str, example: str) -> None:
    """It names the kind of address that was expected, with an example of this kind."""
    with pytest.raises(BadSubject, match=what) as raised:
        subjects.parse(subject, None)
    assert example in (raised.value.hint or "")


@dataclass
class Sharer(Resolver):
    """A resolver that finds the identity that is stored, as it was read first for the resolution."""

    stored: list[str] = field(default_factory=list)

    def identities(self, subject: Subject) -> Sequence[Identity]:
        return [identity(resolution.shared("stored", lambda: self.stored.pop(0))) for _ in subject.identities]


def test_what_plug_ins_share_is_read_once_for_a_resolution_and_anew_for_the_next() -> None:
    """Several plug-ins, in several rounds, get the same rows; nothing of them is kept for another export."""
    stored = ["first", "second", "third"]
    exporters = {"a": Sharer(stored=stored), "b": Sharer(stored=stored)}
    assert values(resolve(user(), exporters)) == ["usr_1", "first", "first"]
    assert values(resolve(user(), exporters)) == ["usr_1", "second", "second"]
    assert resolution.shared("stored", lambda: stored.pop(0)) == "third"
    assert stored == []
