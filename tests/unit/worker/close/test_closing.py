"""What an export writes when it closes: its document, the reviews that it notes, and what it reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from archives import members
from factories import MadeUpExporter, World, dataset, things, world_of
from structlog.testing import capture_logs

from portability.api import Identity, IdentityUse, Role, Subject, SubjectKind, Withheld
from portability.api.nouns import first_identity
from portability.database import incidents
from portability.database.engine import reading
from portability.law.tenants import InformGround, Tenants, TenantTerms
from portability.requests import exports, reviews
from portability.requests.states import DatasetState
from worker.close import closing_document, closing_volume
from worker.close.commit import ClosingRows
from worker.plan.plan import ExportPlan, PlanLine

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EXPORT: dict[str, Any] = {
    **dict.fromkeys(("since", "until", "feed_id")),
    **dict.fromkeys(("received_at", "began_at"), AT),
    "id": "exp_1",
    "profile": "access",
    "subject_ref": "sub_1",
    "subject_kind": "user",
    "revision": 1,
    "formats": ["jsonl"],
    "tell_tenants": False,
}
IDENTITIES = (
    first_identity(SubjectKind.USER, "usr_1", None),
    *(Identity("crm", "contact_id", f"con_{tenant}", verified=True, tenant=tenant) for tenant in ("ten_a", "ten_b")),
    Identity("crm", "contact_id", "con_9", verified=True, tenant="ten_a"),
)
JANE = Subject(SubjectKind.USER, None, "sub_1", IDENTITIES)


def ledger_line(ordinal: int, name: str, **values: Any) -> dict[str, Any]:
    counted = dict.fromkeys(("records", "files", "bytes", "gaps", "corrections", "open_slices"), 0)
    absent = dict.fromkeys(("reason", "tenants", "redactions", "findings", "remarks", "withheld", "recipients"))
    times = dict.fromkeys(("reading_began_at", "reading_ended_at"))
    named = {"ordinal": ordinal, "exporter": "made", "dataset": name, "title": name.title(), "state": "complete"}
    return {**named, **counted, **absent, **times, **values}


def document(
    lines: Sequence[dict[str, Any]], planned: Sequence[PlanLine], *, tell: bool = False, tenants: Tenants | None = None
) -> dict[str, Any]:
    export = EXPORT | {"tell_tenants": tell}
    plan = ExportPlan(tuple(planned), ())
    return dict(closing_document.document(export, plan, lines, [], [], AT, tenants=tenants))


def plan_line(name: str, role: Role = Role.CONTROLLER, **values: Any) -> PlanLine:
    return PlanLine("made", dataset(name, role), frozenset({"id", "text"}), JANE, **values)


@pytest.mark.parametrize(
    ("counted", "values", "records"),
    [
        ({"password": 1}, {"records": 3}, [1]),
        ({"password": 2}, {"records": 3}, [2]),
        ({"password": 1}, {"files": 1}, [1]),
        ({"password": 0}, {"records": 3}, []),
        (None, {"records": 3}, [None]),
        ({"password": 1}, {}, []),
    ],
)
def test_withheld_data_is_described_with_the_number_of_records(
    counted: dict[str, int] | None, values: dict[str, int], records: list[int | None]
) -> None:
    """Null where the source does not count; nothing where no record has it, or the dataset is empty."""
    planned = plan_line("things")
    planned = replace(planned, dataset=replace(planned.dataset, withheld=(Withheld("password", "a hash", "secret"),)))
    found = document([ledger_line(0, "things", withheld=counted, **values)], [planned])["withheld"]
    assert [(one["exporter"], one["dataset"], one["name"], one["records"]) for one in found] == [
        ("made", "things", "password", number) for number in records
    ]


@pytest.mark.parametrize(
    ("state", "tell", "answers"),
    [
        ("needs_instruction", False, [("ten_a", "Alpha", "open"), ("ten_b", None, "informed")]),
        ("needs_instruction", True, [("ten_a", "Alpha", "informed"), ("ten_b", None, "informed")]),
        ("refused", False, [("ten_a", "Alpha", "refused"), ("ten_b", None, "refused")]),
        ("complete", True, []),
    ],
)
def test_companies_that_decide_are_named_with_their_answer(
    state: str, tell: bool, answers: list[tuple[str, str | None, str]]
) -> None:
    """`ten_b` is informed by contract, `ten_a` only if the person agreed; a dataset that was read names none."""
    tenants = Tenants({"ten_a": TenantTerms("Alpha"), "ten_b": TenantTerms(inform=InformGround.CONTRACT)})
    lines = [ledger_line(0, "calls", state=state, tenants=["ten_b", "ten_a"]), ledger_line(1, "things")]
    made = document(lines, [plan_line("calls", Role.PROCESSOR), plan_line("things")], tell=tell, tenants=tenants)
    assert [(one["tenant"], one["name"], one["answer"]) for one in made["referrals"]] == answers
    named = [one.get("tenants") for one in made["datasets"]]
    assert named == [["ten_b", "ten_a"] if answers else None, None]


def test_the_notice_names_the_companies_of_a_dataset() -> None:
    """Those that have not ordered it; of data that was read, those at which the person is a contact, once each."""
    waits = plan_line("waits", Role.PROCESSOR, state=DatasetState.NEEDS_INSTRUCTION, tenants=("ten_c",))
    planned = [plan_line("own"), plan_line("read", Role.PROCESSOR), waits]
    lines = [ledger_line(number, line.dataset.name) for number, line in enumerate(planned)]
    made = closing_document.notice_lines(planned, lines)
    assert [line.companies for line in made] == [(), ("ten_a", "ten_b"), ("ten_c",)]


def test_records_that_should_be_deleted_alarm_the_operator(made: World) -> None:
    """The alarm has their number, and no alarm is raised for any other remark."""
    lines: Any = [
        ledger_line(0, "old", remarks={"past_retention": 3}),
        ledger_line(1, "new"),
        ledger_line(2, "loose", remarks={"no_person": 2}),
    ]
    claim: Any = SimpleNamespace(id="exp_1")
    commit: Any = SimpleNamespace(tallies={})
    with capture_logs() as logged:
        closing_volume.report_remarks(made.place, claim, commit, ClosingRows([], lines, []))
    assert [(one["event"], one["dataset"], one["records"]) for one in logged] == [("retention.exceeded", "old", 3)]
    assert [(row["kind"], row["count"]) for row in incidents.counted(made.engine)] == [("past_retention", 3)]


@dataclass
class UnclearExporter(MadeUpExporter):
    """Finds an identity that names a record for a review, and one that names none."""

    identity_use: IdentityUse = field(
        default_factory=lambda: IdentityUse(frozenset(), frozenset({"thing", "phone"}), {"thing": "made/things"})
    )

    def identities(self, _subject: Subject) -> Sequence[Identity]:
        return [Identity("made", kind, "x", verified=False) for kind in ("thing", "phone")]


def test_closing_notes_the_reviews_and_links_the_notice(tmp_path: Path) -> None:
    """An officer finds the unclear record of the dataset that was read; the viewer leads to the notice."""
    made = world_of(tmp_path, UnclearExporter(things(3)))
    identifier = made.request()
    made.advance_all()
    with reading(made.engine) as connection:
        found = reviews.of(connection, exports.get(connection, identifier))
    assert [(row["exporter"], row["dataset"], row["record"], row["state"]) for row in found] == [
        ("made", "things", "x", "open")
    ]
    files = dict(members(made.fetch(identifier)))
    (about,) = (body for path, body in files.items() if path.endswith("viewer/data/export.js"))
    assert b'"notice":true' in about.replace(b" ", b"")
