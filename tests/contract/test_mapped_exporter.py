"""A map reads a database with a schema of its own: on SQLite, PostgreSQL and MariaDB, with the same records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import crm_database
import pytest
from crm_database import DEALS, MAP, CrmDatabase, open_crm
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from wrong_clocks import set_machine_wrong

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import Batch, Identity, Record, RowRemark, Selection, Subject, SubjectKind
from portability.api.errors import BadMap, SourceRefused, SourceUnavailable
from portability.database.engine import READING
from portability.testing import check_exporter, sample_subject
from worker.process import source_check
from worker.read.reader import SourcePatience

BEGAN = Selection(began_at=datetime(2026, 2, 1, tzinfo=UTC))
ANN = sample_subject(SubjectKind.CONTACT, "con_1", tenant="org_a")
STAFF = sample_subject(SubjectKind.USER, "usr_9", Identity("crm", "staff_id", "usr_9", verified=True, tenant="org_b"))


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mysql"])
def crm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CrmDatabase:
    """The filled CRM; its reader has no right to write."""
    return crm_database.filled_on(request.param, request, tmp_path_factory.mktemp("crm"))


@pytest.fixture
def mapped(crm: CrmDatabase) -> Iterator[MappedExporter]:
    found = open_crm(crm)
    yield found
    found._section.sources.database.dispose()


def batches_of(mapped: MappedExporter, name: str, subject: Subject, selection: Selection = BEGAN) -> Sequence[Batch]:
    (dataset,) = (one for one in mapped.datasets if one.name == name)
    return list(mapped.export(subject, dataset, selection))


def records_in(mapped: MappedExporter, name: str, subject: Subject, selection: Selection = BEGAN) -> Sequence[Record]:
    return [record for batch in batches_of(mapped, name, subject, selection) for record in batch.records]


def ids_of_map(mapped: MappedExporter, name: str, subject: Subject) -> Sequence[object]:
    return [record["id"] for record in records_in(mapped, name, subject)]


def test_the_contract_of_exporters(crm: CrmDatabase, mapped: MappedExporter) -> None:
    """A contact's export fulfils all that exporters must: cursors, slices, files, other subjects, connections."""
    del crm
    held = mapped._section.sources.database.pool.checkedout  # type: ignore[attr-defined]  # a queue's method
    check_exporter(mapped, ANN, selection=BEGAN, held=held)


def test_rows_of_a_person(mapped: MappedExporter) -> None:
    """By identity, by other datasets and through a link table: each row once, no sample, nothing of another tenant."""
    assert ids_of_map(mapped, "contacts", ANN) == ["con_1"]
    assert ids_of_map(mapped, "accounts", ANN) == [1]
    assert ids_of_map(mapped, "deals", ANN) == [DEALS[1], DEALS[5], DEALS[6]]
    assert ids_of_map(mapped, "tasks", ANN) == list(range(crm_database.TASKS))


def test_rows_of_a_tenant(mapped: MappedExporter) -> None:
    """A tenant gets all rows that name it, except those that no subject gets."""
    subject = sample_subject(SubjectKind.TENANT, "org_a")
    assert ids_of_map(mapped, "contacts", subject) == ["con_1", "con_2"]
    assert ids_of_map(mapped, "deals", subject) == [DEALS[number] for number in (1, 2, 5, 6)]
    assert len(ids_of_map(mapped, "tasks", subject)) == crm_database.TASKS + 1


def test_rows_of_staff(mapped: MappedExporter) -> None:
    """A user is found as staff of each tenant whose rows name the account, and gets the rows of this tenant."""
    found = [one for one in mapped.identities(STAFF) if one.kind == "staff_id"]
    assert [(one.value, one.tenant, one.verified) for one in found] == [
        ("usr_9", "org_a", True),
        ("usr_9", "org_b", True),
    ]
    assert ids_of_map(mapped, "deals", STAFF) == [DEALS[4], DEALS[7]]


@pytest.mark.parametrize("address", ["ann@example.test", "Ann@EXAMPLE.test"])
def test_an_address_is_compared_by_its_bytes(mapped: MappedExporter, address: str) -> None:
    """ASCII case is ignored and nothing else: MariaDB takes the address with the Ä for Ann's. con_4 has no proof."""
    user = sample_subject(SubjectKind.USER, "usr_1", Identity("account", "email", address, verified=True))
    found = [(one.value, one.tenant, one.verified) for one in mapped.identities(user)]
    assert found == [("con_1", "org_a", True), ("con_3", "org_b", True), ("con_4", "org_b", False)]


def test_an_identity_is_compared_by_its_bytes(mapped: MappedExporter) -> None:
    """An identifier in other case, with an accent or a space is another identifier."""
    for other in ("CON_1", "cön_1", "con_1 "):
        assert ids_of_map(mapped, "contacts", sample_subject(SubjectKind.CONTACT, other, tenant="org_a")) == []
        assert mapped.knows(sample_subject(SubjectKind.CONTACT, other, tenant="org_a")) is False
    assert ids_of_map(mapped, "contacts", sample_subject(SubjectKind.CONTACT, "con_1", tenant="ORG_A")) == []
    assert mapped.knows(ANN) is True
    assert mapped.knows(STAFF) is None


def test_an_identity_of_one_tenant_stays_there(mapped: MappedExporter) -> None:
    """An address that is proved at one tenant leads to contacts of this tenant only."""
    ann = sample_subject(
        SubjectKind.CONTACT,
        "con_1",
        Identity("crm", "email", "ann@example.test", verified=True, tenant="org_a"),
        Identity("crm", "email", "ann@example.test", verified=True, tenant="org_b"),
        tenant="org_a",
    )
    found = [one for one in mapped.identities(ann) if one.kind == "contact_id"]
    assert [(one.value, one.tenant) for one in found] == [("con_1", "org_a")]


def test_values_are_exact(mapped: MappedExporter) -> None:
    """The map's types decide: decimals keep their digits, times are in UTC, JSON is JSON."""
    first = dict(records_in(mapped, "deals", ANN)[0])
    assert str(first.pop("amount")).rstrip("0") == "1.5"
    assert first == {
        "id": DEALS[1],
        "name": "Deal 1",
        "likely": 0.25,
        "open": True,
        "closes_on": "2026-05-06",
        "custom": {"a": 1},
        "created_at": "2026-01-01T00:00:00.000000Z",
        "file": f"{DEALS[1]}.bin",
    }
    assert records_in(mapped, "contacts", ANN)[0]["verified"] == "2026-01-02T03:04:05.600000Z"


def test_marks(mapped: MappedExporter) -> None:
    """Rows past their end and soft-deleted rows are delivered and marked; a file that is not named is a gap."""
    (batch,) = batches_of(mapped, "deals", ANN)
    assert {name: list(rows) for name, rows in batch.remarks.items()} == {
        RowRemark.PAST_RETENTION: [2],
        RowRemark.SOFT_DELETED: [2],
    }
    assert [file.name for file in batch.files] == [f"{DEALS[1]}.bin"]
    (contacts,) = batches_of(mapped, "contacts", ANN)
    assert {name: list(rows) for name, rows in contacts.withheld.items()} == {"token": [0]}


def dated(number: int, at: datetime) -> str:
    """The statement that dates a deal."""
    moment = f"{at:%Y-%m-%d %H:%M:%S.%f}"
    return f"update deals set created_at = '{moment}' where name = 'Deal {number}'"  # noqa: S608  # of this test alone


def test_the_period_of_a_request(crm: CrmDatabase, mapped: MappedExporter) -> None:
    """`since` takes rows that were created or changed since then, and `began_at` leaves out what is newer."""
    since = Selection(since=datetime(2026, 1, 5, tzinfo=UTC))
    assert [one["id"] for one in records_in(mapped, "deals", ANN, since)] == [DEALS[5], DEALS[6]]
    crm.run("update deals set updated_at = '2026-01-09 00:00:00.000000' where name = 'Deal 1'")
    try:
        assert [one["id"] for one in records_in(mapped, "deals", ANN, since)] == [DEALS[1], DEALS[5], DEALS[6]]
    finally:
        crm.run("update deals set updated_at = null")
    early = Selection(began_at=datetime(2026, 1, 3, tzinfo=UTC))
    assert [one["id"] for one in records_in(mapped, "deals", ANN, early)] == [DEALS[1]]


def test_a_source_whose_clock_is_ahead_lacks_no_row(
    crm: CrmDatabase, mapped: MappedExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock is 3 minutes ahead, so a row of a minute before the export began has a time 2 minutes after that.

    What it wrote a minute after the beginning is left out as before. A file of SQLite has no clock of its own.
    """
    present = datetime.now(UTC)
    crm.run(dated(1, present - timedelta(minutes=1)), dated(5, present + timedelta(minutes=1)))
    set_machine_wrong(monkeypatch, minutes=-3)
    begun = Selection(began_at=present - timedelta(minutes=3))
    existed = set() if crm.url.startswith("sqlite") else {DEALS[1]}
    try:
        assert {one["id"] for one in records_in(mapped, "deals", ANN, begun)} == {DEALS[6], *existed}
    finally:
        crm.run(*(dated(number, datetime(2026, 1, number, tzinfo=UTC)) for number in (1, 5)))


def test_a_source_is_not_written(mapped: MappedExporter) -> None:
    """Every transaction of the source is read only, whatever rights its account has."""
    database = mapped._section.sources.database
    with database.connect().execution_options(**READING) as connection, pytest.raises(DBAPIError):
        connection.execute(text("delete from tasks"))


def test_an_account_that_may_write_is_refused(crm: CrmDatabase) -> None:
    """The check at the start names what the account may write. SQLite has no accounts: its connections cannot write."""
    found = open_crm(CrmDatabase(crm.url, crm.url))
    try:
        if crm.url.startswith("sqlite"):
            found.prepare()
            return
        with pytest.raises(BadMap, match="the account of the source may write"):
            found.prepare()
        with pytest.raises(SourceRefused, match="may write"):
            ids_of_map(found, "tasks", ANN)
    finally:
        found._section.sources.database.dispose()


FAULTS: Mapping[str, tuple[str, str, str]] = {
    "unknown table": ('table = "tasks"', 'table = "task"', "crm.toml:86:1: unknown table 'task'"),
    "unknown column": ('text = { text = "What', 'txet = { text = "What', "unknown column 'txet' of tasks"),
    "nearest column": ('text = { text = "What', 'txet = { text = "What', "the nearest name is 'text'"),
    "no type": ('id = { type = "integer", text = "Number', 'id = { text = "Number', 'write type = "integer"'),
    "wrong type": ('likely = { type = "number"', 'likely = { type = "integer"', 'which is not "integer"'),
    "not a time": ('created = "created_at"', 'created = "closes_on"', "'closes_on' of deals is date, not a time"),
    "not unique": ('order = ["created_at", "id"]', 'order = ["created_at"]', "may have the same created_at"),
    "key not unique": (
        'id = { type = "integer", text = "Number of the task." }\ndeal = { column = "deal_id"',
        'number = { column = "id", type = "integer", text = "Number." }\nid = { column = "deal_id"',
        "the key deal_id does not identify a row of tasks",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_that_the_database_shows(crm: CrmDatabase, fault: str) -> None:
    """What the catalogue contradicts is refused, with line and column and what to write."""
    old, new, expected = FAULTS[fault]
    text_of_map = MAP.read_text()
    assert text_of_map.count(old) == 1
    found = open_crm(crm, changed=text_of_map.replace(old, new))
    try:
        with pytest.raises(BadMap) as refused:
            found.prepare()
    finally:
        found._section.sources.database.dispose()
    assert expected in str(refused.value)
    assert str(refused.value).startswith("crm.toml:")


def test_no_worker_starts_with_a_broken_map(crm: CrmDatabase) -> None:
    """The fault is raised with the section's name; a database that does not answer prevents no start."""
    patience = SourcePatience(retries=0, seconds=20)
    broken = open_crm(crm, changed=MAP.read_text().replace('table = "tasks"', 'table = "task"'))
    with pytest.raises(BadMap, match=r"\[crm\]: crm.toml:86:1: unknown table 'task'"):
        source_check.prepare({"crm": broken}, patience)
    broken._section.sources.database.dispose()
    away = open_crm(CrmDatabase(crm.url, "postgresql://reader@127.0.0.1:1/crm"))
    source_check.prepare({"crm": away}, patience)
    with pytest.raises(SourceUnavailable, match="does not answer"):
        ids_of_map(away, "tasks", ANN)


def test_a_view_is_a_table(crm: CrmDatabase) -> None:
    """A view has no key of its own in the catalogue: the map's is used, and reading is the same."""
    crm.run("create view seen_tasks as select * from tasks")
    if crm.url.startswith("postgresql"):
        crm.run(f'grant select on seen_tasks to "{crm.reader.split("//")[1].split("@")[0]}"')
    found = open_crm(crm, changed=MAP.read_text().replace('table = "tasks"', 'table = "seen_tasks"'))
    try:
        assert ids_of_map(found, "tasks", ANN) == list(range(crm_database.TASKS))
    finally:
        found._section.sources.database.dispose()
        crm.run("drop view seen_tasks")
