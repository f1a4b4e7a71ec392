from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from factories import MadeUpExporter, dataset, described
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.phrases import PHRASES
from portability import notice
from portability.api import (
    Dataset,
    Exporter,
    Field,
    FieldType,
    Identity,
    Provenance,
    Role,
    Subject,
    SubjectKind,
)
from portability.instructions import Order
from portability.plugins import load_exporters
from portability.requests import Profile
from portability.settings import load_settings
from portability.sources import PlatformSources
from portability.states import DatasetState
from worker import plan
from worker.plan import Line, Plan

MOOD = Field("mood", FieldType.STRING, "Guessed.", Provenance.DERIVED)


def identity(kind: str, value: str, tenant: str | None = None, *, verified: bool = True) -> Identity:
    return Identity("made", kind, value, verified, tenant)


ACCOUNT = identity("user_id", "usr_1")
CON_1, CON_2 = identity("contact_id", "con_1", "ten_1"), identity("contact_id", "con_2", "ten_1")
CON_3 = identity("contact_id", "con_3", "ten_2")
PHONE = identity("phone", "+62", "ten_1")


def user(*identities: Identity) -> Subject:
    return Subject(SubjectKind.USER, None, "sub_1", (ACCOUNT, *identities))


def contact(*identities: Identity) -> Subject:
    return Subject(SubjectKind.CONTACT, "ten_1", "sub_1", (CON_1, *identities))


def exporters(*datasets: Dataset, name: str = "made") -> Mapping[str, Exporter]:
    return {name: MadeUpExporter([], datasets=datasets)}


def made(subject: Subject, *datasets: Dataset, profile: Profile = Profile.ACCESS, orders: Sequence[Order] = ()) -> Plan:
    return plan.make(profile, subject, exporters(*datasets), orders)


def states(found: Plan) -> list[tuple[str, str]]:
    return [(line.dataset.name, str(line.state)) for line in found.lines]


def read(found: Plan) -> Line:
    (line,) = [line for line in found.lines if line.state is DatasetState.PENDING]
    return line


def derived(name: str = "guesses") -> Dataset:
    return replace(dataset(name), provenance=Provenance.DERIVED)


@pytest.mark.parametrize("profile", [Profile.ACCESS, Profile.PORTABILITY])
def test_portability_leaves_out_what_is_derived_and_says_so(profile: Profile) -> None:
    """GDPR Art. 20 is about what was provided and observed; access takes all. Tags decide, never names."""
    observed = replace(dataset("seen"), provenance=Provenance.OBSERVED)
    found = made(user(), dataset("given"), observed, derived(), profile=profile)
    names = [line.dataset.name for line in found.lines]
    assert names == ["given", "seen", "guesses"][: None if profile is Profile.ACCESS else 2]
    assert [(left.dataset, left.reason) for left in found.omissions] == (
        [] if profile is Profile.ACCESS else [("guesses", plan.DERIVED)]
    )


def test_portability_drops_derived_fields_and_keeps_keys() -> None:
    """A score among provided fields goes; a key stays, whatever it is, or records could not be told apart."""
    derived_key = Field("score_id", FieldType.STRING, "Computed.", Provenance.DERIVED)
    mixed = replace(dataset("mixed", Role.CONTROLLER, MOOD, derived_key), key=("score_id",))
    line = read(made(user(), mixed, profile=Profile.PORTABILITY))
    assert [field.name for field in line.dataset.fields] == ["id", "text", "score_id"]
    assert line.declared == {"id", "text", "mood", "score_id"}
    assert read(made(user(), mixed)).dataset is mixed


@pytest.mark.requirement("R3")
@pytest.mark.parametrize(
    ("basis", "reason"),
    [("contract", None), ("consent", None), ("law", plan.OTHER_BASIS), ("interests", plan.OTHER_BASIS)],
)
def test_the_legal_basis_decides_what_is_portable(tmp_path: Path, basis: str, reason: str | None) -> None:
    """GDPR Art. 20(1)(a): consent or contract; the register says which, and access asks for neither."""
    register = notice.load(described(tmp_path, "made/given", basis=basis))
    for profile, expected in ((Profile.PORTABILITY, reason), (Profile.ACCESS, None)):
        found = plan.make(profile, user(), exporters(dataset("given")), (), notice=register)
        assert [left.reason for left in found.omissions] == ([] if expected is None else [expected])
        assert len(found.lines) + len(found.omissions) == 1


def test_what_nobody_has_described_is_not_portable_and_says_so() -> None:
    """A stranger's dataset without an entry has no basis on which it could be portable."""
    found = plan.make(Profile.PORTABILITY, user(), exporters(dataset("given")), (), notice=notice.load())
    assert [(left.dataset, left.reason) for left in found.omissions] == [("given", plan.NO_BASIS)]


SUBJECTS = {
    SubjectKind.USER: user(CON_1, CON_3),
    SubjectKind.CONTACT: contact(),
    SubjectKind.TENANT: Subject(SubjectKind.TENANT, "ten_1", "sub_1", (identity("tenant_id", "ten_1", "ten_1"),)),
}
EVERYBODYS = [Order(tenant, None, None) for tenant in ("ten_1", "ten_2")]


@pytest.mark.requirement("R3")
@settings(max_examples=60)
@given(st.sampled_from(Profile), st.sampled_from(SubjectKind), st.sets(st.sampled_from(sorted(notice.load().datasets))))
def test_no_profile_takes_what_it_may_not(profile: Profile, kind: SubjectKind, without: set[str]) -> None:
    """Over the register and all built-in exporters, whatever else is described or not.

    Nothing derived and no other basis than consent or contract in `portability`; nothing that is private to a
    tenant's staff in `switch`; and each dataset is either read or left out with a reason that both languages have.
    """
    register = notice.load()
    register = register.model_copy(
        update={"datasets": {name: entry for name, entry in register.datasets.items() if name not in without}}
    )
    built_in = load_exporters(PlatformSources(load_settings()))
    found = plan.make(profile, SUBJECTS[kind], built_in, EVERYBODYS, notice=register)
    taken = {line.name: line.dataset for line in found.lines}
    assert {*taken, *(f"{left.exporter}/{left.dataset}" for left in found.omissions)} == {
        f"{name}/{dataset.name}" for name, exporter in built_in.items() for dataset in exporter.datasets
    }
    assert all(left.reason in PHRASES[language]["reasons"] for left in found.omissions for language in PHRASES)
    if profile is Profile.PORTABILITY:
        assert taken.keys().isdisjoint(without)
        for name, one in taken.items():
            derived = {field.name for field in one.fields if field.provenance is Provenance.DERIVED}
            assert one.provenance is not Provenance.DERIVED
            assert derived <= set(one.key)
            assert register.bases_of(*name.split("/")) & {"consent", "contract"}
    if profile is Profile.SWITCH and kind is SubjectKind.TENANT:
        private = {"marketing", "cookies", "devices", "usage", "performance", "inquiries", "trail"}
        assert {name.split("/")[0] for name in taken}.isdisjoint(private)
        assert "account/profile" not in taken


def test_a_dataset_about_somebody_else_is_left_out() -> None:
    """Kinds of the dataset are narrower than the exporter's, where given."""
    of_tenants = replace(dataset("flows"), subject_kinds=frozenset({SubjectKind.TENANT}))
    found = made(user(), dataset("given"), of_tenants)
    assert states(found) == [("given", "pending")]
    assert [(left.dataset, left.reason) for left in found.omissions] == [("flows", "is not about a user")]


def test_a_switch_tells_where_private_data_can_be_had() -> None:
    """It takes the tenant's data without any instruction; what is its staff's own is named with the way to get it."""
    private = replace(dataset("cookies"), subject_kinds=frozenset({SubjectKind.USER}))
    tenant = Subject(SubjectKind.TENANT, "ten_1", "sub_1", (identity("tenant_id", "ten_1", "ten_1"),))
    found = made(tenant, dataset("calls", Role.PROCESSOR), dataset("invoices"), private, profile=Profile.SWITCH)
    assert states(found) == [("calls", "pending"), ("invoices", "pending")]
    (left,) = found.omissions
    assert left.reason == "available to each person by a request of their own (profile access)"


def test_only_what_was_asked_for() -> None:
    """Other exporters are listed as not asked for, not silently missing."""
    both = {**exporters(dataset("a"), name="one"), **exporters(dataset("b"), name="two")}
    found = plan.make(Profile.ACCESS, user(), both, (), include=["two"])
    assert states(found) == [("b", "pending")]
    assert [(left.exporter, left.reason) for left in found.omissions] == [("one", "not asked for")]


@pytest.mark.parametrize("role", [Role.PROCESSOR, Role.BOTH])
def test_processor_data_of_a_contact_needs_an_instruction(role: Role) -> None:
    """Without one the ledger says whom to ask and nothing is read; with one it is read, and nobody is asked."""
    calls = dataset("calls", role)
    (line,) = made(contact(PHONE), calls).lines
    assert (line.state, line.tenants) == (DatasetState.NEEDS_INSTRUCTION, ("ten_1",))
    assert line.subject.identities == ()
    (line,) = made(contact(PHONE), calls, orders=[Order("ten_1", None, None)]).lines
    assert line.state is DatasetState.PENDING
    assert line.subject.identities == (CON_1, PHONE)


def test_an_order_of_another_tenant_opens_nothing() -> None:
    """Tenants are walls: the same contact id elsewhere is somebody else."""
    found = made(contact(), dataset("calls", Role.PROCESSOR), orders=[Order("ten_2", "con_1", None)])
    assert states(found) == [("calls", "needs_instruction")]


def test_an_order_for_one_exporter_opens_that_one() -> None:
    """The list of exporters is part of the order."""
    datasets = {**exporters(dataset("a", Role.BOTH), name="calls"), **exporters(dataset("b", Role.BOTH), name="crm")}
    order = Order("ten_1", None, frozenset({"crm"}))
    found = plan.make(Profile.ACCESS, contact(), datasets, [order])
    assert states(found) == [("a", "needs_instruction"), ("b", "pending")]


def test_a_user_who_is_a_contact_of_two_tenants_gets_what_is_ordered() -> None:
    """One tenant has ordered, the other has not: its identities select nothing, and the ledger names it."""
    found = made(user(CON_1, PHONE, CON_3), dataset("calls", Role.BOTH), orders=[Order("ten_1", None, None)])
    assert states(found) == [("calls", "pending"), ("calls", "needs_instruction")]
    assert read(found).subject.identities == (CON_1, PHONE)
    assert found.lines[1].tenants == ("ten_2",)


def test_a_telephone_that_two_contacts_share_opens_nothing_alone() -> None:
    """Of two contacts of a tenant one is ordered: the number may be the other's, so the contact's id alone selects."""
    found = made(user(CON_1, CON_2, PHONE), dataset("calls", Role.BOTH), orders=[Order("ten_1", "con_1", None)])
    assert read(found).subject.identities == (CON_1,)
    assert found.lines[1].tenants == ("ten_1",)


def test_an_unverified_contact_is_no_permission() -> None:
    """Somebody claims to be con_2, who is ordered: that opens nothing of the tenant, and asks for nothing."""
    claimed = identity("contact_id", "con_2", "ten_1", verified=False)
    (line,) = made(user(claimed, PHONE), dataset("calls", Role.BOTH), orders=[Order("ten_1", None, None)]).lines
    assert line.state is DatasetState.PENDING
    assert line.subject.identities == ()


def test_a_user_who_is_nobodys_contact_needs_no_instruction() -> None:
    """The dataset is read to its end and found empty; no tenant is named."""
    (line,) = made(user(), dataset("calls", Role.PROCESSOR)).lines
    assert (line.state, line.tenants, line.subject.identities) == (DatasetState.PENDING, (), ())


def test_a_users_contacts_never_select_the_platforms_own_data() -> None:
    """What the platform holds for itself is about its account holder: a tenant's telephone number proves nothing."""
    mail = identity("email", "a@b")
    assert read(made(user(CON_1, PHONE, mail), dataset("cookies"))).subject.identities == (ACCOUNT, mail)


def test_a_contact_keeps_its_identities_for_controller_data() -> None:
    """They are all of its own tenant already."""
    assert read(made(contact(PHONE), dataset("inquiries"))).subject.identities == (CON_1, PHONE)


def test_the_same_input_gives_the_same_plan() -> None:
    """A position counts lines: every job of an export must count the same ones."""
    datasets = [dataset(name, role) for name, role in zip("abcd", [*Role, Role.BOTH], strict=True)]
    orders = [Order("ten_1", None, None)]
    one, other = (made(user(CON_1, CON_3), *datasets, orders=orders) for _ in range(2))
    assert one == other
