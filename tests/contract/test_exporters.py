"""What every built-in exporter promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import orjson
import platform_data as platform
import pytest
from sqlalchemy import Engine, QueuePool

from exporters.reference import schema
from portability.api import Exporter, JointlyCountingExporter, Selection, SlicingExporter, Subject, SubjectKind
from portability.database.engine import open_engine
from portability.testing import check_exporter, sample_subject

NAMES = (
    "account",
    "billing",
    "calls",
    "chats",
    "configuration",
    "cookies",
    "crm",
    "devices",
    "inquiries",
    "interactions",
    "marketing",
    "performance",
    "trail",
    "usage",
)

KNOWN_TO_ALL = (SubjectKind.USER, SubjectKind.TENANT)
"""Every exporter knows one of these kinds; the three others are found in the same tables, by the same periods."""


@pytest.fixture(scope="module")
def platform_engine(platform_url: str) -> Iterator[Engine]:
    """A filled platform; these tests only read it."""
    engine = open_engine(platform_url)
    platform.fill(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def exporters(platform_engine: Engine) -> dict[str, Exporter]:
    return dict(platform.exporters(platform_engine))


def all_yielded(exporters: dict[str, Exporter], subject: Subject) -> bytes:
    """All that all exporters yield of a subject."""
    found = [
        (name, dataset.name, list(batch.records), batch.cursor, batch.gaps, [file.name for file in batch.files])
        for name, exporter in exporters.items()
        for dataset in exporter.datasets
        for batch in exporter.export(subject, dataset, Selection())
    ]
    return orjson.dumps(found)


@pytest.mark.parametrize("kind", SubjectKind)
def test_keeps_all_promises(platform_engine: Engine, exporters: dict[str, Exporter], kind: SubjectKind) -> None:
    """Every built-in exporter passes the public suite with each kind of subject that it knows."""
    assert isinstance(platform_engine.pool, QueuePool)
    checked = [name for name, exporter in exporters.items() if kind in exporter.subject_kinds]
    begun = Selection(began_at=platform.EPOCH)  # as in an export, for which rights are looked up once
    for name in checked:
        check_exporter(exporters[name], platform.SUBJECTS[kind], selection=begun, held=platform_engine.pool.checkedout)
    assert tuple(exporters) == NAMES
    assert len(checked) >= {"user": 13, "contact": 4, "tenant": 7, "email": 6, "phone": 4}[kind]


@pytest.mark.parametrize(
    "kind", [kind if kind in KNOWN_TO_ALL else pytest.param(kind, marks=pytest.mark.system) for kind in SubjectKind]
)
def test_keeps_all_promises_in_a_period(exporters: dict[str, Exporter], kind: SubjectKind) -> None:
    """Every built-in exporter can be cut into slices, and its promises hold in any part of time."""
    period = Selection(since=platform.EPOCH, until=platform.EPOCH + timedelta(hours=2), began_at=platform.EPOCH)
    for exporter in exporters.values():
        assert isinstance(exporter, SlicingExporter)
        assert exporter.subject_kinds & {*KNOWN_TO_ALL}
        if kind in exporter.subject_kinds:
            check_exporter(exporter, platform.SUBJECTS[kind], selection=period)


@pytest.mark.parametrize("kind", SubjectKind)
def test_every_dataset_has_records(exporters: dict[str, Exporter], kind: SubjectKind) -> None:
    """The platform of these tests has something in each dataset, so that no check passes for want of data."""
    for exporter in exporters.values():
        for dataset in exporter.datasets:
            if kind in (dataset.subject_kinds or ()):
                assert platform.records(exporter, dataset.name, platform.SUBJECTS[kind]), dataset.name


@pytest.mark.parametrize("kind", SubjectKind)
def test_no_canary_leaves(exporters: dict[str, Exporter], kind: SubjectKind) -> None:
    """No value of a column that must stay inside is in any record, cursor, gap or file name."""
    found = all_yielded(exporters, platform.SUBJECTS[kind])
    assert len(found) > 10_000
    assert platform.CANARY.encode() not in found


@pytest.mark.parametrize("kind", sorted({*SubjectKind} - {SubjectKind.TENANT}))
def test_datasets_of_all_exporters_are_counted_together(exporters: dict[str, Exporter], kind: SubjectKind) -> None:
    """One request gives the sizes that each dataset has alone; a tenant's datasets are counted one by one."""
    subject, prepared, alone = platform.SUBJECTS[kind], [], []
    for exporter in exporters.values():
        assert isinstance(exporter, JointlyCountingExporter)
        for dataset in exporter.datasets:
            assert exporter.prepared_count(platform.TENANT, dataset, Selection()) is None
            prepared.append(exporter.prepared_count(subject, dataset, Selection()))
            alone.append(exporter.count(subject, dataset, Selection()))
    first = prepared[0]
    assert first is not None
    assert {one.asked_of for one in prepared if one} == {first.asked_of}
    assert first.together(prepared) == alone
    assert sum(size.records for size in alone) >= 8
    assert any(size.bytes for size in alone)


@pytest.mark.parametrize("kind", SubjectKind)
def test_tenant_wall(exporters: dict[str, Exporter], kind: SubjectKind) -> None:
    """Nothing of ten_b reaches a subject of ten_a, though con_b has the same phone number and e-mail address."""
    found = all_yielded(exporters, platform.SUBJECTS[kind])
    assert b"ten_a" in found
    for foreign in (b"ten_b", b"con_b", b"usr_3", b"com_b"):
        assert foreign not in found


@pytest.mark.parametrize("kind", sorted({*SubjectKind} - {SubjectKind.TENANT}))
def test_nothing_of_other_people(exporters: dict[str, Exporter], kind: SubjectKind) -> None:
    """A person gets no record of another user or contact, of the same tenant neither."""
    found = all_yielded(exporters, platform.SUBJECTS[kind])
    for other in (b"usr_2", b"con_2", b"com_2"):
        assert other not in found


def test_tenant_gets_no_private_data_of_its_staff(exporters: dict[str, Exporter]) -> None:
    """A switch export says of its members who they are, by id, name, address and role, and nothing else."""
    private = ("cookies", "devices", "inquiries", "marketing", "performance", "usage")
    for name in private:
        assert SubjectKind.TENANT not in exporters[name].subject_kinds
    (trail, _) = exporters["trail"].datasets
    assert trail.subject_kinds == frozenset({SubjectKind.USER})
    (profile, _, members) = exporters["account"].datasets
    assert profile.subject_kinds == frozenset({SubjectKind.USER})
    expected = {
        "id",
        "tenant_id",
        "user_id",
        "role",
        "invited_by",
        "member_name",
        "member_email",
        "created_at",
        "ended_at",
    }
    assert {field.name for field in members.fields} == expected


@pytest.mark.requirement("R31")
def test_a_company_gets_the_directory_of_its_users(platform_engine: Engine, exporters: dict[str, Exporter]) -> None:
    """Name, address and role of each member, from the account; a member without an account keeps what is known."""
    platform.put(
        platform_engine,
        platform.row(
            schema.memberships, "mem-guest", user_id="usr_gone", tenant_id="ten_a", member_email="guest@example.org"
        ),
    )
    found = platform.records(exporters["account"], "memberships", platform.TENANT)

    assert {record["user_id"]: record["member_email"] for record in found} == {
        "usr_1": "ana@example.org",
        "usr_2": "usr_2@example.org",
        "usr_gone": "guest@example.org",
    }
    assert {record["member_name"] for record in found} - {"member_name 0 \N{SEEDLING}"} == {
        "full_name 0 \N{SEEDLING}",
        "full_name 1 \N{SEEDLING}",
    }
    (own,) = platform.records(exporters["account"], "memberships", platform.USER)
    assert (own["user_id"], own["member_email"]) == ("usr_1", "ana@example.org")


def test_user_without_instruction_gets_no_contact_data(exporters: dict[str, Exporter]) -> None:
    """Where the host has dropped a user's contact identities, the processor datasets are empty."""
    alone = replace(platform.USER, identities=platform.USER.identities[:2])
    for name in ("calls", "chats", "interactions", "crm"):
        for dataset in exporters[name].datasets:
            assert platform.records(exporters[name], dataset.name, alone) == []


@pytest.mark.requirement("R29")
def test_consents_come_with_their_history(platform_url: str) -> None:
    """Given in one place, withdrawn in another, given again with a new text: each with time, version and source."""
    decided = [
        ("given", "2025-01", "registration_form"),
        ("withdrawn", "2025-01", "support"),
        ("given", "2026-02", "preference_page"),
    ]
    engine = open_engine(platform_url)
    schema.metadata.create_all(engine)
    known = {"user_id": "usr_consents", "email": "c@example.org", "purpose": "marketing_email"}
    for number, (status, version, source) in enumerate(decided):
        more = {"status": status, "text_version": version, "source": source, "wording": f"Text of {version}."}
        platform.put(engine, platform.row(schema.consents, f"cns_{number}", number, **known, **more))
    subject = sample_subject(SubjectKind.USER, "usr_consents")
    found = platform.records(platform.exporters(engine)["marketing"], "consents", subject)
    engine.dispose()
    assert [(one["status"], one["text_version"], one["source"]) for one in found] == decided
    assert len({str(one["decided_at"]) for one in found}) == len(decided)
    assert [one["wording"] for one in found] == [f"Text of {version}." for _, version, _ in decided]
