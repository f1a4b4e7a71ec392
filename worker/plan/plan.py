"""The plan: which datasets an export reads, with which fields and identities. Pure; tags decide, not names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import RowMapping

from portability.api import (
    ADDRESS_KINDS,
    STAFF_IDENTITY,
    Dataset,
    Exporter,
    Identity,
    Provenance,
    Role,
    Subject,
    SubjectKind,
)
from portability.errors import VolumeFault
from portability.law.notice import PORTABLE, Register
from portability.law.omissions import NOT_ABOUT, OmissionReason
from portability.law.profiles import Profile
from portability.locale.translations import Translations, of_dataset
from portability.requests.instructions import Order
from portability.requests.states import REFERRED, DatasetState
from portability.source_trust import EVERY_SOURCE, SourceTrust


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One dataset to read, or not to read because an instruction is missing."""

    exporter: str
    dataset: Dataset
    """The dataset with the fields that the profile takes."""
    declared: frozenset[str]
    """Names of all fields that the exporter declares."""
    subject: Subject
    """The subject with the identities that may select from it."""
    state: DatasetState = DatasetState.PENDING
    tenants: tuple[str, ...] = ()
    """Tenants whose instruction is missing."""
    people: tuple[tuple[str, str], ...] = ()
    """The contacts and members of staff for whom an instruction is missing, each with its tenant."""
    withdrawn: tuple[str, ...] = ()
    """Tenants whose instruction existed when the export began and was withdrawn since."""

    @property
    def name(self) -> str:
        """The name `exporter/dataset`, as used in errors and gaps."""
        return f"{self.exporter}/{self.dataset.name}"


@dataclass(frozen=True, slots=True)
class Omission:
    """A dataset that this export does not contain, and why."""

    exporter: str
    dataset: str
    reason: OmissionReason
    title: str
    translations: Translations
    """Of the title."""


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """Lines in the order of reading, and the datasets left out by rule."""

    lines: tuple[PlanLine, ...]
    omissions: tuple[Omission, ...]

    @property
    def datasets(self) -> Iterator[tuple[str, str]]:
        """Exporter and dataset of each line."""
        return ((line.exporter, line.dataset.name) for line in self.lines)


def make(
    profile: Profile,
    subject: Subject,
    exporters: Mapping[str, Exporter],
    orders: Sequence[Order],
    include: Iterable[str] | None = None,
    *,
    notice: Register | None = None,
    records: bool = True,
    documents: bool = True,
    trust: SourceTrust = EVERY_SOURCE,
) -> ExportPlan:
    """Make the plan of one export; `records` and `documents` say whether it has formats of these kinds.

    The register's legal bases decide what is portable; without a register every dataset is: an export continues as it
    began, even if the register changes meanwhile. A source reads by the identities that it trusts. The same input gives
    the same lines.
    """
    lines: list[PlanLine] = []
    omissions: list[Omission] = []
    wanted = None if include is None else frozenset(include)
    for name, exporter in exporters.items():
        for dataset in exporter.datasets:
            reason = _left_out(profile, subject, name, exporter, dataset, wanted)
            if reason is None and not (documents if dataset.documents else records):
                reason = (
                    OmissionReason.FORMAT_NOT_ASKED_FOR if dataset.documents else OmissionReason.NO_FORMAT_OF_RECORDS
                )
            if reason is None and profile is Profile.PORTABILITY and notice is not None:
                reason = _unportable(notice, name, dataset)
            if reason is not None:
                omissions.append(_omission(name, dataset, reason))
                continue
            lines.extend(_lines(profile, trust.subject_for(name, subject), name, dataset, orders))
    return ExportPlan(tuple(lines), tuple(omissions))


def title_only(translations: Translations) -> Translations:
    """Return the translations of the title alone: a line of export.json has no description."""
    return {name: texts for name, texts in translations.items() if name == "title"}


def _omission(exporter: str, dataset: Dataset, reason: OmissionReason) -> Omission:
    return Omission(exporter, dataset.name, reason, dataset.title, title_only(of_dataset(exporter, dataset)))


def _unportable(notice: Register, exporter: str, dataset: Dataset) -> OmissionReason | None:
    """Return why a dataset is not portable by right, None if it is (GDPR Art. 20(1)(a)): one valid basis is enough."""
    bases = notice.bases_of(exporter, dataset.name)
    if not bases:
        return OmissionReason.NO_LEGAL_BASIS
    return None if bases & PORTABLE else OmissionReason.NO_CONSENT_OR_CONTRACT


def as_begun(
    new_plan: ExportPlan, ledger: Sequence[RowMapping], omissions: Sequence[Omission] | None = None
) -> ExportPlan:
    """Return the plan with the lines of the ledger, in its order, which positions refer to, and with `omissions`.

    Meanwhile a plug-in may have been upgraded, or an instruction given or withdrawn. New datasets are left to another
    request; withdrawn datasets are read no further and become a gap. Raises VolumeFault if a dataset no longer exists
    here: another worker may still have it.
    """
    lines = {(line.exporter, line.dataset.name, line.state): line for line in new_plan.lines}
    no_instruction = DatasetState.NEEDS_INSTRUCTION
    uninstructed: dict[tuple[str, str], set[str]] = {}
    for row in ledger:
        if row["state"] in REFERRED:
            uninstructed.setdefault((row["exporter"], row["dataset"]), set()).update(row["tenants"] or ())
    begun: list[PlanLine] = []
    for row in ledger:
        name = (row["exporter"], row["dataset"])
        opened, closed = lines.get((*name, DatasetState.PENDING)), lines.get((*name, no_instruction))
        if row["state"] == no_instruction and opened is not None:
            closed = closed or replace(opened, state=no_instruction, tenants=tuple(row["tenants"] or ()))
        line = closed if row["state"] == no_instruction else opened or closed
        if line is None:
            raise VolumeFault(
                f"{name[0]}/{name[1]} was planned, but no plug-in of this worker has it",
                hint="install the earlier version of the plug-in, or make a new request",
            )
        if closed is not None and row["state"] != no_instruction:
            known = set() if opened is None else uninstructed.get(name, set())
            line = replace(line, withdrawn=tuple(tenant for tenant in closed.tenants if tenant not in known))
        begun.append(_of_tenants(line, row["tenants"]) if row["tenants"] and row["state"] not in REFERRED else line)
    planned = {(row["exporter"], row["dataset"]) for row in ledger}
    left_out = new_plan.omissions if omissions is None else omissions
    return ExportPlan(tuple(begun), tuple(left for left in left_out if (left.exporter, left.dataset) not in planned))


def _of_tenants(line: PlanLine, tenants: Sequence[str]) -> PlanLine:
    """Return a line for what some tenants decide over, whose instruction came after the other records were read."""
    own = tuple(i for i in line.subject.identities if i.tenant in tenants)
    return replace(line, subject=replace(line.subject, identities=own))


def _left_out(
    profile: Profile,
    subject: Subject,
    name: str,
    exporter: Exporter,
    dataset: Dataset,
    wanted: frozenset[str] | None,
) -> OmissionReason | None:
    if wanted is not None and name not in wanted:
        return OmissionReason.NOT_ASKED_FOR
    if subject.kind not in (dataset.subject_kinds or exporter.subject_kinds):
        if profile is Profile.SWITCH:
            return OmissionReason.EACH_PERSON_ASKS
        return NOT_ABOUT[subject.kind]
    if profile is Profile.PORTABILITY and dataset.provenance is Provenance.DERIVED:
        return OmissionReason.DERIVED
    return None


def _lines(
    profile: Profile, subject: Subject, exporter: str, dataset: Dataset, orders: Sequence[Order]
) -> Iterator[PlanLine]:
    declared = frozenset(field.name for field in dataset.fields)
    taken = _fields_of(profile, dataset)
    if subject.kind is SubjectKind.TENANT:
        yield PlanLine(exporter, taken, declared, subject)
    elif dataset.role is Role.CONTROLLER:
        own = tuple(i for i in subject.identities if _selects_own_data(i, subject, exporter))
        yield PlanLine(exporter, taken, declared, replace(subject, identities=own))
    else:
        opened, people = _instructed(subject, exporter, dataset, orders)
        if opened.identities or not people:
            yield PlanLine(exporter, taken, declared, opened)
        if people:
            closed = tuple(dict.fromkeys(tenant for tenant, _person in people))
            yield PlanLine(exporter, taken, declared, opened, DatasetState.NEEDS_INSTRUCTION, closed, people)


def _selects_own_data(identity: Identity, subject: Subject, exporter: str) -> bool:
    """Return whether an identity selects data that the platform processes for itself.

    A tenant's contacts of another source prove nothing here, and its staff's records are the tenant's to release. What
    the source itself finds at a tenant says whose its records are.
    """
    is_found_here = identity.source == exporter and identity.kind != STAFF_IDENTITY
    return not identity.tenant or is_found_here or subject.kind is SubjectKind.CONTACT


def _instructed(
    subject: Subject, exporter: str, dataset: Dataset, orders: Sequence[Order]
) -> tuple[Subject, tuple[tuple[str, str], ...]]:
    """Return the subject with the identities of instructing tenants only, and (tenant, person) without instruction."""
    kept: list[Identity] = []
    closed: dict[tuple[str, str], None] = {}
    tenants = dict.fromkeys(i.tenant for i in subject.identities if i.tenant is not None)
    for tenant in tenants:
        identities = [i for i in subject.identities if i.tenant == tenant]
        # Which contact has a shared address is unclear: the tenant is named, and has to decide.
        is_address = subject.kind in ADDRESS_KINDS
        people = [i for i in identities if (i.verified or is_address) and _is_person(i, exporter, dataset)]
        opened = [i for i in people if i.verified and any(order.opens(exporter, tenant, i.value) for order in orders)]
        contacts = [i for i in people if i.kind != STAFF_IDENTITY]
        if contacts and all(i in opened for i in contacts):
            # Addresses, and the rows that they lead to, may belong to a contact without instruction: they need all.
            kept.extend(i for i in identities if i.kind != STAFF_IDENTITY)
            kept.extend(i for i in opened if i.kind == STAFF_IDENTITY)
        else:
            kept.extend(opened)
        closed |= {(tenant, i.value): None for i in people if i not in opened}
    return replace(subject, identities=tuple(kept)), tuple(closed)


def _is_person(identity: Identity, exporter: str, dataset: Dataset) -> bool:
    """Return whether a tenant must give an instruction for this identity: a contact, or a member of its staff."""
    if identity.kind == STAFF_IDENTITY:
        return dataset.of_staff and identity.source == exporter
    return identity.kind == "contact_id"


def _fields_of(profile: Profile, dataset: Dataset) -> Dataset:
    if profile is Profile.SWITCH:
        # The tenant decides on its own keys.
        return replace(dataset, fields=tuple(replace(field, keys=None) for field in dataset.fields))
    if profile is not Profile.PORTABILITY:
        return dataset
    kept = tuple(f for f in dataset.fields if f.provenance is not Provenance.DERIVED or f.name in dataset.key)
    return replace(dataset, fields=kept)
