"""Faults of an SQL map that are visible without its database: names that do not fit, and paths that lead nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from exporters.maps.reading import MapFault
from exporters.sql.belonging import Within
from exporters.sql.mapped.change_parts import change_faults
from exporters.sql.mapped.forms import SqlDatasetForm, SqlSourceForm
from exporters.sql.mapped.part_faults import part_faults
from exporters.sql.mapped.people_faults import people_faults
from exporters.sql.mapped.stated import unused_times
from exporters.sql.mapped.tenantless import signature_faults
from exporters.sql.mapped.way_forms import RowsForm, SoleAddressRowsForm, WayForm
from exporters.sql.source import FILE
from portability.api import ADDRESS_KINDS, FieldType, SubjectKind
from portability.api.names import name_fault
from portability.api.nouns import FIRST_IDENTITY
from portability.api.tags import REDACTABLE

TIMES = frozenset({FieldType.DATETIME, FieldType.DATE})
ACCOUNT, CONTACT = (FIRST_IDENTITY[kind][1] for kind in (SubjectKind.USER, SubjectKind.CONTACT))
NAMED_TENANT = "name the column with `tenant`; a view may have it (docs/maps.md#a-tenant-that-another-table-names)"


def form_faults(form: SqlSourceForm) -> Iterator[MapFault]:
    """Yield every fault, each with its place in the map."""
    yield from _names(form)
    yield from _session(form)
    yield from _circles(form)
    yield from _decisions(form)
    yield from signature_faults(form)
    yield from _look_ups(form)
    for place, dataset in enumerate(form.dataset):
        at = ("dataset", place)
        for fault in (
            *_columns(dataset),
            *_fields(dataset),
            *_disclosures(dataset),
            *_subjects(form, dataset),
        ):
            yield MapFault((*at, *fault.path), fault.message, fault.hint)
    for path, dataset, way in form.steps():
        yield from _way(form, path, dataset, way)
    yield from people_faults(form)
    yield from part_faults(form)
    yield from change_faults(form)
    yield from unused_times(form)


def _names(form: SqlSourceForm) -> Iterator[MapFault]:
    seen = Counter[str]()
    for place, dataset in enumerate(form.dataset):
        path, same = ("dataset", place, "name"), dataset.name.lower()
        seen[same] += 1
        if seen[same] > 1:
            hint = "the case of its letters does not count"
            yield MapFault(path, f"two datasets have the name {dataset.name!r}", hint)
        if fault := name_fault(dataset.name):
            yield MapFault(path, f"the name {dataset.name!r} {fault}")
    tables = {dataset.table for dataset in form.dataset}
    for name in (*form.tables.internal, *form.tables.undecided):
        if name in tables:
            part = "internal" if name in form.tables.internal else "undecided"
            yield MapFault(("tables", part), f"the table {name!r} is also that of a dataset")


def _decisions(form: SqlSourceForm) -> Iterator[MapFault]:
    named = {*form.tables.internal, *(one.table for one in form.dataset)}
    for one in form.dataset:
        names = (*one.own_columns.values(), *one.withheld, *one.internal)
        named |= {f"{one.table}.{name}" for name in names}
    for place, decision in enumerate(form.decision):
        if unknown := [name for name in decision.about if name not in named]:
            hint = "a decision is about a table of the map, or about a column (`table.column`) that it decides on"
            yield MapFault(("decision", place, "about"), f"the map decides on no {unknown[0]!r}", hint)


def _circles(form: SqlSourceForm) -> Iterator[MapFault]:
    parents: dict[str, set[str]] = {dataset.name: set() for dataset in form.dataset}
    for path, dataset, way in form.steps():
        if way.dataset is None:
            continue
        if way.dataset not in parents:
            known = ", ".join(sorted(parents))
            yield MapFault((*path, "dataset"), f"unknown dataset {way.dataset!r}", f"datasets of this map: {known}")
            continue
        parents[dataset.name].add(way.dataset)
    try:
        TopologicalSorter(parents).prepare()
    except CycleError as error:
        circle: Sequence[str] = error.args[1]
        # Each dataset of the circle is a parent of the next: the place is the way by which the second has the first.
        path = next(path for path, one, way in form.steps() if (one.name, way.dataset) == (circle[1], circle[0]))
        names = " -> ".join(reversed(circle))
        yield MapFault((*path, "dataset"), f"datasets lead to each other: {names}", "begin a path with `identities`")


def _columns(dataset: SqlDatasetForm) -> Iterator[MapFault]:
    groups: Mapping[str, Iterable[str]] = {
        "fields": dataset.own_columns.values(),
        "withheld": dataset.withheld,
        "internal": dataset.internal,
        "undecided": dataset.undecided,
    }
    first: dict[str, str] = {}
    for group, names in groups.items():
        for name in names:
            if name in first:
                # A list has no keys: its fault is at the list.
                path = (group,) if group == "undecided" else (group, _key(dataset, group, name))
                yield MapFault(path, f"the column {name!r} is named twice: in {first[name]} and in {group}")
            first.setdefault(name, group)


def _key(dataset: SqlDatasetForm, group: str, column: str) -> str:
    """Return the last key in the group that names the column."""
    if group != "fields":
        return column
    return [name for name, own in dataset.own_columns.items() if own == column][-1]


def _fields(dataset: SqlDatasetForm) -> Iterator[MapFault]:
    for name in () if dataset.is_draft else dataset.key:
        if name not in dataset.fields:
            yield MapFault(("key",), f"the key names {name!r}, which is not a field")
    if dataset.file is not None and FILE in dataset.fields:
        yield MapFault(("fields", FILE), f"the field {FILE!r} is that of the file: give this field another name")
    for name, field in dataset.fields.items():
        kind = field.type or FieldType.STRING
        if field.person is not None and (name in dataset.key or kind not in REDACTABLE):
            message = "only a text or object that is not part of the key has a `person`"
            yield MapFault(("fields", name, "person"), message)
        if (field.keys is not None or field.keys_about_others) and kind is not FieldType.OBJECT:
            yield MapFault(("fields", name), "only an object has `keys`", 'write type = "object"')
    for name in dataset.order_columns if dataset.key_is_known else ():
        if name in {dataset.changed, dataset.deleted}:
            message = f"the order contains {name!r}, which changes: a row could be read twice or not at all"
            yield MapFault(("order",), message, "order by the time of creation and the key")


def _disclosures(dataset: SqlDatasetForm) -> Iterator[MapFault]:
    stated = dataset.disclosures
    if stated is None:
        return
    types = {name: field.type or FieldType.STRING for name, field in dataset.fields.items()}
    if types.get(stated.recipient) is not FieldType.STRING:
        yield MapFault(("disclosures", "recipient"), f"{stated.recipient!r} is not a field of texts")
    if stated.at is not None and types.get(stated.at) not in TIMES:
        yield MapFault(("disclosures", "at"), f"{stated.at!r} is not a field of times or dates")


def _session(form: SqlSourceForm) -> Iterator[MapFault]:
    """Yield the faults of a session that shows the rows of one tenant at a time."""
    if not form.session.needs_tenant:
        return
    kinds = form.kinds.union(*(dataset.kinds or () for dataset in form.dataset))
    others = ", ".join(sorted(kinds - {SubjectKind.CONTACT, SubjectKind.TENANT}))
    if others and form.session.tenants is None:
        hint = "add `tenants = { table, column }` to the session, or leave these kinds out"
        yield MapFault(("session", "set"), f"a subject of the kind {others} has no tenant", hint)
    for place, dataset in enumerate(form.dataset):
        if dataset.tenant is None:
            hint = "name its column with `tenant`: each tenant is read in a session of its own"
            yield MapFault(("dataset", place, "name"), f"{dataset.name!r} names no tenant", hint)


def _subjects(form: SqlSourceForm, dataset: SqlDatasetForm) -> Iterator[MapFault]:
    if dataset.is_draft:
        return  # a person has to decide on it first
    kinds = dataset.kinds or form.kinds
    if SubjectKind.TENANT in kinds and dataset.tenant is None:
        hint = "name the column with `tenant`, or leave `tenant` out of `kinds`"
        yield MapFault(("name",), f"a tenant gets no row of {dataset.name!r}: no column names the tenant", hint)
    serves_contacts = any(_serves_contacts(dataset, way) for way in dataset.rows)
    if SubjectKind.CONTACT in kinds and dataset.rows and dataset.fields and not serves_contacts:
        hint = "name the column with `tenant`, or leave `contact` out of `kinds`"
        message = f"a contact gets no row of {dataset.name!r}: its identities are valid at one tenant"
        yield MapFault(("name",), message, hint)
    if kinds - {SubjectKind.TENANT} and not dataset.rows:
        people = ", ".join(sorted(kinds - {SubjectKind.TENANT}))
        hint = 'add `rows`, or write kinds = ["tenant"]'
        yield MapFault(("name",), f"no row of {dataset.name!r} belongs to a person ({people})", hint)


def _serves_contacts(dataset: SqlDatasetForm, way: WayForm) -> bool:
    """Return whether a way leads from identities at one tenant."""
    if not isinstance(way, RowsForm):
        return not isinstance(way, SoleAddressRowsForm)
    return bool(way.dataset) or (way.within or dataset.usual_within) is Within.TENANT


@dataclass(frozen=True, slots=True)
class _Validity:
    """Where identities are valid, as far as the map says it: other sources may find the same kinds elsewhere."""

    at_tenants: frozenset[str]
    """Kinds that are valid at one tenant alone."""
    on_platform: frozenset[str]
    """Kinds that are valid without a tenant alone."""


def _validity(form: SqlSourceForm) -> _Validity:
    people = (form.people.identity, form.people.duplicate) if form.people else ()
    at_tenants = {CONTACT, *people, *(one.gives for one in form.identity if one.tenant is not None)}
    on_platform = {ACCOUNT, *(one.gives for one in form.identity if not one.tenant)}
    return _Validity(frozenset(at_tenants - on_platform), frozenset(on_platform - at_tenants - ADDRESS_KINDS))


def _look_ups(form: SqlSourceForm) -> Iterator[MapFault]:
    """Yield the look-ups that can find nothing: an identity of one tenant leads to rows of this tenant only."""
    at_tenants = _validity(form).at_tenants
    for place, one in enumerate(form.identity):
        if not one.tenant and one.kind in at_tenants:
            message = f"a {one.kind!r} is valid at one tenant, and no column names the tenant: nothing is found"
            yield MapFault(("identity", place, "from"), message, NAMED_TENANT)


def _validities(
    form: SqlSourceForm, path: Sequence[str | int], dataset: SqlDatasetForm, way: RowsForm
) -> Iterator[MapFault]:
    """Yield the fault of a way by identities of which none can be valid where the way compares them."""
    if not way.identities:
        return
    valid, kinds = _validity(form), ", ".join(way.identities)
    within = way.within or dataset.usual_within
    if within is Within.TENANT and valid.on_platform.issuperset(way.identities):
        message = f"no row of {dataset.name!r} has a {kinds} of its tenant: it is valid on the whole platform"
        yield MapFault((*path, "identities"), message, 'write within = "platform"')
    if within is Within.PLATFORM and valid.at_tenants.issuperset(way.identities):
        message = f"no row of {dataset.name!r} has a {kinds} of the whole platform: it is valid at one tenant"
        hint = 'write within = "tenant"' if dataset.tenant else NAMED_TENANT
        yield MapFault((*path, "identities"), message, hint)


def _way(form: SqlSourceForm, path: Sequence[str | int], dataset: SqlDatasetForm, way: RowsForm) -> Iterator[MapFault]:
    part, number = str(path[-2]), int(path[-1])
    if way in getattr(dataset, part)[:number]:
        yield MapFault((*path, "column"), "the same path is named twice", "remove one of them")
    if way.within is not None and not way.identities:
        yield MapFault((*path, "within"), "`within` is for ways by identities")
    if way.within is Within.TENANT and dataset.tenant is None:
        yield MapFault((*path, "within"), f"{dataset.name!r} names no tenant", "name its column with `tenant`")
    if part == "staff" and dataset.tenant is None:
        yield MapFault(path, f"{dataset.name!r} names no tenant, who decides about rows of its staff")
    elif not dataset.is_draft:
        yield from _validities(form, path, dataset, way)
    steps = {step.table for step in way.through}
    if len(steps) < len(way.through):
        yield MapFault((*path, "through"), "a path passes a table twice", "name each table of a path once")
    parent = next((one for one in form.dataset if one.name == way.dataset), None)
    if parent is not None and parent.table in steps:
        yield MapFault((*path, "through"), f"the table {parent.table!r} is that of the dataset {parent.name!r}")
