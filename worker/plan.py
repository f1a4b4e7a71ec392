"""The plan: which datasets an export reads, with which fields, and as whom. Pure; tags decide, not names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import RowMapping

from portability.api import Dataset, Exporter, Identity, Provenance, Role, Subject, SubjectKind
from portability.errors import VolumeFault
from portability.instructions import Order
from portability.notice import PORTABLE, Register
from portability.requests import Profile
from portability.states import DatasetState

NO_DOCUMENTS = "format vcon was not asked for"
NO_RECORDS = "no format of records was asked for (jsonl, csv)"
DERIVED = "derived data is not part of portability (GDPR Art. 20; WP242 rev.01)"
OTHER_BASIS = "not held on consent or contract, so not part of portability (GDPR Art. 20(1)(a)): ask for access"
NO_BASIS = "no legal basis is recorded for it, so not part of portability (GDPR Art. 20(1)(a)): ask for access"


@dataclass(frozen=True, slots=True)
class Line:
    """One dataset to read, or not to read for want of an instruction."""

    exporter: str
    dataset: Dataset
    """With the fields that the profile takes."""
    declared: frozenset[str]
    """Names of all fields that the exporter declares."""
    subject: Subject
    """With the identities that may select from it."""
    state: DatasetState = DatasetState.PENDING
    tenants: tuple[str, ...] = ()
    """Whom to ask for an instruction."""
    withdrawn: tuple[str, ...] = ()
    """Tenants whose instruction was there when the export began, and is not any more."""

    @property
    def name(self) -> str:
        """`exporter/dataset`, as errors and gaps tell it."""
        return f"{self.exporter}/{self.dataset.name}"


@dataclass(frozen=True, slots=True)
class Omission:
    """A dataset that this export does not take, and why."""

    exporter: str
    dataset: str
    reason: str
    title: str
    title_id: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Lines in the order of reading, and what is left out by rule."""

    lines: tuple[Line, ...]
    omissions: tuple[Omission, ...]


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
) -> Plan:
    """The plan of one export; `records` and `documents` say whether it has formats of these kinds.

    The register's legal bases decide what is portable; without it every one is: an export goes on as it was begun,
    though the register changes meanwhile. The same input gives the same lines.
    """
    lines: list[Line] = []
    omissions: list[Omission] = []
    wanted = None if include is None else frozenset(include)
    for name, exporter in exporters.items():
        for dataset in exporter.datasets:
            reason = _left_out(profile, subject, name, exporter, dataset, wanted)
            if reason is None and not (documents if dataset.documents else records):
                reason = NO_DOCUMENTS if dataset.documents else NO_RECORDS
            if reason is None and profile is Profile.PORTABILITY and notice is not None:
                reason = _unportable(notice, name, dataset)
            if reason is not None:
                omissions.append(Omission(name, dataset.name, reason, dataset.title, dataset.title_id))
                continue
            lines.extend(_lines(profile, subject, name, dataset, orders))
    return Plan(tuple(lines), tuple(omissions))


def _unportable(notice: Register, exporter: str, dataset: Dataset) -> str | None:
    """Why a dataset may not go to another provider by right, if so (GDPR Art. 20(1)(a)): one good basis is enough."""
    bases = notice.bases_of(exporter, dataset.name)
    if not bases:
        return NO_BASIS
    return None if bases & PORTABLE else OTHER_BASIS


def as_begun(made: Plan, ledger: Sequence[RowMapping], omissions: Sequence[Omission] | None = None) -> Plan:
    """The plan with the lines of the ledger, in its order: positions count them. `omissions` in place of its own.

    Meanwhile a plugin may have been upgraded, or an instruction given or withdrawn. What is new is left to another
    request; what was withdrawn is read no further, and is a gap. Raises VolumeFault, where a dataset is not offered
    any more: another worker may still offer it.
    """
    lines = {(line.exporter, line.dataset.name, line.state): line for line in made.lines}
    held = DatasetState.NEEDS_INSTRUCTION
    asked = {(row["exporter"], row["dataset"]): row["tenants"] for row in ledger if row["state"] == held}
    begun: list[Line] = []
    for row in ledger:
        name = (row["exporter"], row["dataset"])
        opened, closed = lines.get((*name, DatasetState.PENDING)), lines.get((*name, held))
        if row["state"] == held and opened is not None:
            closed = closed or replace(opened, state=held, tenants=tuple(row["tenants"] or ()))
        line = closed if row["state"] == held else opened or closed
        if line is None:
            raise VolumeFault(
                f"{name[0]}/{name[1]} was planned, and no plugin of this worker offers it",
                hint="install the plugin as it was, or ask again",
            )
        if closed is not None and row["state"] != held:
            known = () if opened is None else asked.get(name) or ()
            line = replace(line, withdrawn=tuple(tenant for tenant in closed.tenants if tenant not in known))
        begun.append(line)
    planned = {(row["exporter"], row["dataset"]) for row in ledger}
    left_out = made.omissions if omissions is None else omissions
    return Plan(tuple(begun), tuple(left for left in left_out if (left.exporter, left.dataset) not in planned))


def _left_out(
    profile: Profile,
    subject: Subject,
    name: str,
    exporter: Exporter,
    dataset: Dataset,
    wanted: frozenset[str] | None,
) -> str | None:
    if wanted is not None and name not in wanted:
        return "not asked for"
    if subject.kind not in (dataset.subject_kinds or exporter.subject_kinds):
        if profile is Profile.SWITCH:
            return "available to each person by a request of their own (profile access)"
        return f"is not about a {subject.kind}"
    if profile is Profile.PORTABILITY and dataset.provenance is Provenance.DERIVED:
        return DERIVED
    return None


def _lines(
    profile: Profile, subject: Subject, exporter: str, dataset: Dataset, orders: Sequence[Order]
) -> Iterator[Line]:
    declared = frozenset(field.name for field in dataset.fields)
    taken = _fields_of(profile, dataset)
    if subject.kind is SubjectKind.TENANT:
        yield Line(exporter, taken, declared, subject)
    elif dataset.role is Role.CONTROLLER:
        # What the platform holds for itself is selected by platform-wide identities, not by a tenant's contacts.
        own = tuple(i for i in subject.identities if i.tenant is None or subject.kind is SubjectKind.CONTACT)
        yield Line(exporter, taken, declared, replace(subject, identities=own))
    else:
        opened, closed = _instructed(subject, exporter, orders)
        if opened.identities or not closed:
            yield Line(exporter, taken, declared, opened)
        if closed:
            yield Line(exporter, taken, declared, opened, DatasetState.NEEDS_INSTRUCTION, closed)


def _instructed(subject: Subject, exporter: str, orders: Sequence[Order]) -> tuple[Subject, tuple[str, ...]]:
    """The subject with the identities of instructing tenants only, and the tenants that have not instructed."""
    kept: list[Identity] = []
    closed: list[str] = []
    tenants = dict.fromkeys(i.tenant for i in subject.identities if i.tenant is not None)
    for tenant in tenants:
        identities = [i for i in subject.identities if i.tenant == tenant]
        contacts = [i for i in identities if i.kind == "contact_id" and i.verified]
        opened = [i for i in contacts if any(order.opens(exporter, tenant, i.value) for order in orders)]
        if contacts and len(opened) == len(contacts):
            kept.extend(identities)
            continue
        # A phone number may belong to the contact that is not opened: keep the opened contacts alone.
        kept.extend(opened)
        if contacts:
            closed.append(tenant)
    return replace(subject, identities=tuple(kept)), tuple(closed)


def _fields_of(profile: Profile, dataset: Dataset) -> Dataset:
    if profile is not Profile.PORTABILITY:
        return dataset
    kept = tuple(f for f in dataset.fields if f.provenance is not Provenance.DERIVED or f.name in dataset.key)
    return replace(dataset, fields=kept)
