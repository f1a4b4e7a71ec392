from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import platform_data
import pytest
from factories import MadeUpExporter, dataset, described
from hypothesis import given, settings
from hypothesis import strategies as st

from portability.api import Dataset, Exporter, Field, FieldType, Identity, Provenance, Role, Subject, SubjectKind
from portability.law import notice
from portability.law.omissions import OmissionReason, explanations
from portability.law.profiles import Profile
from portability.locale import languages
from portability.plugins import load_exporters
from portability.requests.instructions import Order
from portability.requests.states import DatasetState
from portability.settings import load_settings
from portability.sources import PlatformSources
from worker.plan import plan
from worker.plan.plan import ExportPlan, PlanLine

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


def planned(
    subject: Subject, *datasets: Dataset, profile: Profile = Profile.ACCESS, orders: Sequence[Order] = ()
) -> ExportPlan:
    return plan.make(profile, subject, exporters(*datasets), orders)


def states(found: ExportPlan) -> list[tuple[str, str]]:
    return [(line.dataset.name, str(line.state)) for line in found.lines]


def pending_line(found: ExportPlan) -> PlanLine:
    (line,) = [line for line in found.lines if line.state is DatasetState.PENDING]
    return line


def derived(name: str = "guesses") -> Dataset:
    return replace(dataset(name), provenance=Provenance.DERIVED)


@pytest.mark.parametrize("profile", [Profile.ACCESS, Profile.PORTABILITY])
def test_portability_leaves_out_what_is_derived_and_says_so(profile: Profile) -> None:
    """GDPR Art. 20 is about what was provided and observed; access takes all. Tags decide, never names."""
    observed = replace(dataset("seen"), provenance=Provenance.OBSERVED)
    found = planned(user(), dataset("given"), observed, derived(), profile=profile)
    names = [line.dataset.name for line in found.lines]
    assert names == ["given", "seen", "guesses"][: None if profile is Profile.ACCESS else 2]
    assert [(left.dataset, left.reason) for left in found.omissions] == (
        [] if profile is Profile.ACCESS else [("guesses", OmissionReason.DERIVED)]
    )


def test_portability_drops_derived_fields_and_keeps_keys() -> None:
    """A score among provided fields is left out; a key stays in any case, because records are identified by it."""
    derived_key = Field("score_id", FieldType.STRING, "Computed.", Provenance.DERIVED)
    mixed = replace(dataset("mixed", Role.CONTROLLER, MOOD, derived_key), key=("score_id",))
    line = pending_line(planned(user(), mixed, profile=Profile.PORTABILITY))
    assert [field.name for field in line.dataset.fields] == ["id", "text", "score_id"]
    assert line.declared == {"id", "text", "mood", "score_id"}
    assert pending_line(planned(user(), mixed)).dataset is mixed


@pytest.mark.requirement("R3")
@pytest.mark.parametrize(
    ("basis", "reason"),
    [
        ("contract", None),
        ("consent", None),
        ("law", OmissionReason.NO_CONSENT_OR_CONTRACT),
        ("interests", OmissionReason.NO_CONSENT_OR_CONTRACT),
    ],
)
def test_the_legal_basis_decides_what_is_portable(tmp_path: Path, basis: str, reason: str | None) -> None:
    """GDPR Art. 20(1)(a): consent or contract; the register says which, and access asks for neither."""
    register = notice.load(described(tmp_path, "made/given", basis=basis))
    for profile, expected in ((Profile.PORTABILITY, reason), (Profile.ACCESS, None)):
        found = plan.make(profile, user(), exporters(dataset("given")), (), notice=register)
        assert [left.reason for left in found.omissions] == ([] if expected is None else [expected])
        assert len(found.lines) + len(found.omissions) == 1


def test_an_undescribed_dataset_is_not_portable_and_says_so() -> None:
    """A stranger's dataset without an entry has no basis on which it could be portable."""
    found = plan.make(Profile.PORTABILITY, user(), exporters(dataset("given")), (), notice=notice.load())
    assert [(left.dataset, left.reason) for left in found.omissions] == [("given", OmissionReason.NO_LEGAL_BASIS)]


SUBJECTS = {
    SubjectKind.USER: user(CON_1, CON_3),
    SubjectKind.CONTACT: contact(),
    SubjectKind.TENANT: Subject(SubjectKind.TENANT, "ten_1", "sub_1", (identity("tenant_id", "ten_1", "ten_1"),)),
    SubjectKind.EMAIL: platform_data.SUBJECTS[SubjectKind.EMAIL],
    SubjectKind.PHONE: platform_data.SUBJECTS[SubjectKind.PHONE],
}
EVERYBODYS = [Order(tenant, None, None) for tenant in ("ten_1", "ten_2")]


@pytest.mark.slow
@pytest.mark.requirement("R3")
@settings(max_examples=60)
@given(st.sampled_from(Profile), st.sampled_from(SubjectKind), st.sets(st.sampled_from(sorted(notice.load().datasets))))
def test_no_profile_takes_what_it_may_not(profile: Profile, kind: SubjectKind, without: set[str]) -> None:
    """Over the register and all built-in exporters, with or without other entries.

    Nothing derived and no other basis than consent or contract in `portability`; nothing that is private to a
    tenant's staff in `switch`; and each dataset is either read or left out with a reason that every language explains.
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
    assert all(explanations(left.reason).keys() == {*languages()} for left in found.omissions)
    if profile is Profile.PORTABILITY:
        assert taken.keys().isdisjoint(without)
        for name, one in taken.items():
            derived = {field.name for field in one.fields if field.provenance is Provenance.DERIVED}
            assert one.provenance is not Provenance.DERIVED
            assert derived <= set(one.key)
            assert register.bases_of(*name.split("/")) & {"consent", "contract"}
    if profile is Profile.SWITCH and kind is SubjectKind.TENANT:
        private = {"marketing", "cookies", "devices", "usage", "performance", "inquiries"}
        assert {name.split("/")[0] for name in taken}.isdisjoint(private)
        assert not {"account/profile", "trail/processing_trail"} & taken.keys()


def test_a_dataset_about_another_person_is_left_out() -> None:
    """Kinds of the dataset are narrower than the exporter's, where given."""
    of_tenants = replace(dataset("flows"), subject_kinds=frozenset({SubjectKind.TENANT}))
    found = planned(user(), dataset("given"), of_tenants)
    assert states(found) == [("given", "pending")]
    assert [(left.dataset, left.reason) for left in found.omissions] == [("flows", "not_about_a_user")]


def test_a_switch_says_where_private_data_is_available() -> None:
    """It takes the tenant's data without any instruction; what is its staff's own is named with the way to get it."""
    private = replace(dataset("cookies"), subject_kinds=frozenset({SubjectKind.USER}))
    tenant = Subject(SubjectKind.TENANT, "ten_1", "sub_1", (identity("tenant_id", "ten_1", "ten_1"),))
    found = planned(tenant, dataset("calls", Role.PROCESSOR), dataset("invoices"), private, profile=Profile.SWITCH)
    assert states(found) == [("calls", "pending"), ("invoices", "pending")]
    (left,) = found.omissions
    assert left.reason == "each_person_asks"


def test_only_what_was_asked_for() -> None:
    """Other exporters are listed as not asked for, not silently missing."""
    both = {**exporters(dataset("a"), name="one"), **exporters(dataset("b"), name="two")}
    found = plan.make(Profile.ACCESS, user(), both, (), include=["two"])
    assert states(found) == [("b", "pending")]
    assert [(left.exporter, left.reason) for left in found.omissions] == [("one", "not_asked_for")]


@pytest.mark.parametrize("role", [Role.PROCESSOR, Role.BOTH])
def test_processor_data_of_a_contact_needs_an_instruction(role: Role) -> None:
    """Without an instruction the ledger says whom to ask and nothing is read; with it, it is read."""
    calls = dataset("calls", role)
    (line,) = planned(contact(PHONE), calls).lines
    assert (line.state, line.tenants) == (DatasetState.NEEDS_INSTRUCTION, ("ten_1",))
    assert line.subject.identities == ()
    (line,) = planned(contact(PHONE), calls, orders=[Order("ten_1", None, None)]).lines
    assert line.state is DatasetState.PENDING
    assert line.subject.identities == (CON_1, PHONE)


def test_an_order_of_another_tenant_opens_nothing() -> None:
    """Tenant isolation: the same contact id elsewhere is another person."""
    found = planned(contact(), dataset("calls", Role.PROCESSOR), orders=[Order("ten_2", "con_1", None)])
    assert states(found) == [("calls", "needs_instruction")]


def test_an_order_for_one_exporter_opens_that_one() -> None:
    """The list of exporters is part of the order."""
    datasets = {**exporters(dataset("a", Role.BOTH), name="calls"), **exporters(dataset("b", Role.BOTH), name="crm")}
    order = Order("ten_1", None, frozenset({"crm"}))
    found = plan.make(Profile.ACCESS, contact(), datasets, [order])
    assert states(found) == [("a", "needs_instruction"), ("b", "pending")]


def test_a_user_who_is_a_contact_of_two_tenants_gets_what_is_ordered() -> None:
    """One tenant has instructed, the other has not: its identities select nothing, and the ledger names it."""
    found = planned(user(CON_1, PHONE, CON_3), dataset("calls", Role.BOTH), orders=[Order("ten_1", None, None)])
    assert states(found) == [("calls", "pending"), ("calls", "needs_instruction")]
    assert pending_line(found).subject.identities == (CON_1, PHONE)
    assert found.lines[1].tenants == ("ten_2",)


def test_a_telephone_that_two_contacts_share_opens_nothing_alone() -> None:
    """Of two contacts of a tenant one is instructed: the number may be the other's, so only the id selects."""
    found = planned(user(CON_1, CON_2, PHONE), dataset("calls", Role.BOTH), orders=[Order("ten_1", "con_1", None)])
    assert pending_line(found).subject.identities == (CON_1,)
    assert found.lines[1].tenants == ("ten_1",)


STAFF_1 = Identity("made", "staff_id", "usr_1", verified=True, tenant="ten_1")


def of_staff(name: str = "calls") -> Dataset:
    return replace(dataset(name, Role.BOTH), of_staff=True)


@pytest.mark.requirement("R1")
def test_a_member_of_staff_needs_the_tenant_s_instruction() -> None:
    """Rows that name a user as an agent of a tenant are the tenant's to release: not empty, and the tenant is named."""
    (line,) = planned(user(STAFF_1), of_staff()).lines
    assert (line.state, line.tenants, line.subject.identities) == (DatasetState.NEEDS_INSTRUCTION, ("ten_1",), ())
    for order in (Order("ten_1", None, None), Order("ten_1", "usr_1", frozenset({"made"}))):
        (line,) = planned(user(STAFF_1), of_staff(), orders=[order]).lines
        assert (line.state, line.subject.identities) == (DatasetState.PENDING, (STAFF_1,))
    for order in (Order("ten_2", None, None), Order("ten_1", "con_1", None), Order("ten_1", None, frozenset({"crm"}))):
        assert states(planned(user(STAFF_1), of_staff(), orders=[order])) == [("calls", "needs_instruction")]


def test_only_datasets_that_name_the_member_of_staff_need_it() -> None:
    """A dataset without rows of staff, and an exporter whose rows do not name the user, have nothing to release."""
    elsewhere = replace(STAFF_1, source="chats")
    found = planned(user(STAFF_1), dataset("companies", Role.BOTH), of_staff())
    assert states(found) == [("companies", "pending"), ("calls", "needs_instruction")]
    assert states(planned(user(elsewhere), of_staff())) == [("calls", "pending")]


def test_a_user_who_is_both_contact_and_staff_of_a_tenant() -> None:
    """An instruction for the contact alone releases the contact's rows, and the tenant is named for the others."""
    found = planned(user(CON_1, PHONE, STAFF_1), of_staff(), orders=[Order("ten_1", "con_1", None)])
    assert states(found) == [("calls", "pending"), ("calls", "needs_instruction")]
    assert pending_line(found).subject.identities == (CON_1, PHONE)
    found = planned(user(CON_1, PHONE, STAFF_1), of_staff(), orders=[Order("ten_1", "usr_1", None)])
    assert pending_line(found).subject.identities == (STAFF_1,)


def test_an_unverified_contact_is_no_permission() -> None:
    """A claim to be con_2, who is instructed, releases nothing of the tenant, and requests nothing."""
    claimed = identity("contact_id", "con_2", "ten_1", verified=False)
    (line,) = planned(user(claimed, PHONE), dataset("calls", Role.BOTH), orders=[Order("ten_1", None, None)]).lines
    assert line.state is DatasetState.PENDING
    assert line.subject.identities == ()


def test_a_user_who_is_no_ones_contact_needs_no_instruction() -> None:
    """The dataset is read to its end and found empty; no tenant is named."""
    (line,) = planned(user(), dataset("calls", Role.PROCESSOR)).lines
    assert (line.state, line.tenants, line.subject.identities) == (DatasetState.PENDING, (), ())


def test_a_users_contacts_never_select_the_platforms_own_data() -> None:
    """What the platform holds for itself is about its account holder: a tenant's telephone number proves nothing."""
    mail = identity("email", "a@b")
    contact_of_another_source = [replace(one, source="crm") for one in (CON_1, PHONE)]
    found = planned(user(*contact_of_another_source, STAFF_1, mail), dataset("cookies"))
    assert pending_line(found).subject.identities == (ACCOUNT, mail)


def test_what_a_source_finds_at_a_tenant_selects_its_own_data() -> None:
    """A person without an account, and a user, get the records that the operator keeps of them at a tenant.

    A section with `tenant`, and a look-up with `tenant`, find all their identities there: without them the dataset
    would be empty, and the export complete.
    """
    mail = Subject(SubjectKind.EMAIL, None, "sub_1", (identity("email", "a@b"), CON_1))
    everyone = replace(dataset("pets"), subject_kinds=frozenset(SubjectKind))
    for subject in (user(CON_1), mail):
        assert CON_1 in pending_line(planned(subject, everyone)).subject.identities


def test_a_contact_keeps_its_identities_for_controller_data() -> None:
    """They are all of its own tenant already."""
    assert pending_line(planned(contact(PHONE), dataset("inquiries"))).subject.identities == (CON_1, PHONE)


def test_the_same_input_gives_the_same_plan() -> None:
    """A position counts lines: every job of an export must count the same lines."""
    datasets = [dataset(name, role) for name, role in zip("abcd", [*Role, Role.BOTH], strict=True)]
    orders = [Order("ten_1", None, None)]
    one, other = (planned(user(CON_1, CON_3), *datasets, orders=orders) for _ in range(2))
    assert one == other


@pytest.mark.parametrize("kind", [SubjectKind.EMAIL, SubjectKind.PHONE])
def test_a_shared_address_is_referred_to_its_tenant(kind: SubjectKind) -> None:
    """A contact that may be another person is not opened by any instruction: the ledger names the tenant."""
    unclear = Identity("crm", "contact_id", "con_1", verified=False, tenant="ten_1")
    subject = Subject(kind, None, "sub_1", (identity(kind, "address"), unclear))
    exporter = MadeUpExporter([], datasets=(dataset("calls", Role.PROCESSOR),))
    (line,) = plan.make(Profile.ACCESS, subject, {"made": exporter}, EVERYBODYS).lines
    assert (line.state, line.tenants, line.subject.identities) == (DatasetState.NEEDS_INSTRUCTION, ("ten_1",), ())
