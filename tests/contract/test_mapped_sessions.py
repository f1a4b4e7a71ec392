"""Sessions of a map on PostgreSQL: row-level security, hidden rows, time limits, schemas, and the lag of a replica."""

from __future__ import annotations

from collections.abc import Iterator

import crm_database
import pytest
import servers
from crm_database import DEALS, MAP, CrmDatabase, open_crm
from sqlalchemy import text

from exporters.sql.faults import reading
from exporters.sql.mapped.databases import check_lag, kind_of, open_database
from exporters.sql.mapped.exporter import MappedExporter
from portability.api import Identity, Selection, Subject, SubjectKind
from portability.api.errors import BadMap, SourceRefused, SourceUnavailable
from portability.testing import check_exporter, sample_subject

ANN = sample_subject(SubjectKind.CONTACT, "con_1", tenant="org_a")
SESSION = """[session]
set = { "app.current_org" = "{tenant}" }
tenants = { table = "orgs", column = "id" }
"""
TABLES = ("contacts", "accounts", "deals", "tasks")


@pytest.fixture(scope="module")
def guarded(pg_server: servers.Postgres) -> CrmDatabase:
    """The CRM under forced row-level security: without the setting every table looks empty."""
    name = pg_server.create_database()
    reader = f"guarded_{name}"
    made = crm_database.fill(pg_server.url(name), pg_server.url(name).replace("postgres@", f"{reader}@"))
    made.run("create table orgs (id text primary key)", "insert into orgs values ('org_a'), ('org_b'), ('o''rg %s')")
    for table in TABLES:
        made.run(
            f"alter table {table} enable row level security",
            f"alter table {table} force row level security",
            f"create policy own on {table} using (org_id = current_setting('app.current_org', true))",
        )
    made.run(f"create role {reader} login", f"grant select on all tables in schema public to {reader}")
    return made


@pytest.fixture
def separate(guarded: CrmDatabase) -> Iterator[MappedExporter]:
    found = open_crm(guarded, changed=MAP.read_text().replace("\n[[identity]]", f"\n{SESSION}\n[[identity]]", 1))
    yield found
    found._section.sources.database.dispose()


def ids_in_sessions(separate: MappedExporter, name: str, subject: Subject, after: str | None = None) -> list[object]:
    (dataset,) = (one for one in separate.datasets if one.name == name)
    found = separate.export(subject, dataset, Selection(), after=after)
    return [record["id"] for batch in found for record in batch.records]


def user_with(*identities: Identity) -> Subject:
    return sample_subject(SubjectKind.USER, "usr_1", *identities)


def test_rows_of_one_tenant(separate: MappedExporter) -> None:
    """A contact's rows are read in sessions of its tenant, with the contract of every separate."""
    assert ids_in_sessions(separate, "deals", ANN) == [DEALS[1], DEALS[5], DEALS[6]]
    assert len(ids_in_sessions(separate, "tasks", ANN)) == crm_database.TASKS
    check_exporter(separate, ANN, held=separate._section.sources.database.pool.checkedout)  # type: ignore[attr-defined]  # a queue's method


def test_a_person_at_several_tenants(separate: MappedExporter) -> None:
    """A user is looked for at each tenant; rows of all of them are read, and a cursor continues at its tenant."""
    found = separate.identities(user_with(Identity("account", "email", "ann@example.test", verified=True)))
    assert [(one.value, one.tenant, one.verified) for one in found] == [
        ("con_1", "org_a", True),
        ("con_3", "org_b", True),
        ("con_4", "org_b", False),
    ]
    ann = user_with(*found)
    assert ids_in_sessions(separate, "contacts", ann) == ["con_1", "con_3"]
    assert ids_in_sessions(separate, "deals", ann) == [DEALS[1], DEALS[5], DEALS[6], DEALS[7]]
    (dataset,) = (one for one in separate.datasets if one.name == "contacts")
    first, second = separate.export(ann, dataset, Selection())
    assert ids_in_sessions(separate, "contacts", ann, after=first.cursor) == ["con_3"]
    assert ids_in_sessions(separate, "contacts", ann, after=second.cursor) == []
    assert separate.count(ann, dataset, Selection()).records == 2


def test_the_value_of_a_setting_is_bound(separate: MappedExporter) -> None:
    """A tenant's id with quotes and percent signs is a value, in statements of one message and in transactions."""
    odd = sample_subject(SubjectKind.TENANT, "o'rg %s'); drop table orgs; --")
    assert ids_in_sessions(separate, "tasks", odd) == []
    assert separate.count(odd, separate.datasets[3], Selection()).records == 0
    assert ids_in_sessions(separate, "contacts", sample_subject(SubjectKind.TENANT, "org_b")) == [
        "con_3",
        "con_4",
    ]


def test_hidden_rows_are_a_fault_of_the_map(guarded: CrmDatabase) -> None:
    """Row-level security hides rows without an error: a map without its settings is refused, with each table."""
    found = open_crm(guarded)
    with pytest.raises(BadMap, match="row-level security hides rows of 'contacts' from this account") as refused:
        found.prepare()
    assert str(refused.value).count("row-level security hides") == 6
    with pytest.raises(SourceRefused, match="row-level security"):
        ids_in_sessions(found, "contacts", ANN)
    found._section.sources.database.dispose()


def test_policies_that_hide_nothing(guarded: CrmDatabase) -> None:
    """A map may say that the policies show all rows to its account."""
    text_of_map = MAP.read_text().replace("\n[[identity]]", "\n[session]\nshows_all_rows = true\n[[identity]]", 1)
    found = open_crm(guarded, changed=text_of_map)
    found.prepare()
    found._section.sources.database.dispose()


def test_settings_are_gone_after_the_transaction(separate: MappedExporter) -> None:
    """The settings are local: another client that gets the server's process from a pooler does not see them."""
    ids_in_sessions(separate, "tasks", ANN)
    with reading(separate._section.sources.database, "test") as connection:
        assert connection.scalar(text("select current_setting('app.current_org', true)")) in {None, ""}


def test_a_setting_without_a_tenant(guarded: CrmDatabase) -> None:
    """A setting that is the same for all subjects is set in each session, too."""
    session = '[session]\nset = { "app.current_org" = "org_a" }'
    text_of_map = MAP.read_text().replace("\n[[identity]]", f"\n{session}\n[[identity]]", 1)
    found = open_crm(guarded, changed=text_of_map)
    assert ids_in_sessions(found, "contacts", ANN) == ["con_1"]
    found._section.sources.database.dispose()


def test_a_statement_has_a_time_limit(guarded: CrmDatabase) -> None:
    """A statement beyond the limit ends, and the export is retried later; the limit is that of the transaction."""
    database = open_database(*kind_of(guarded.reader, "url"), 1)
    for single in (True, False):
        with pytest.raises(SourceUnavailable, match="57014"), reading(database, "slow", single=single) as connection:
            connection.execute(text("select pg_sleep(5)"))
    database.dispose()


def test_a_table_of_another_schema(guarded: CrmDatabase) -> None:
    """`schema.table` names a table of another schema, also where the marks of withheld columns are looked up."""
    reader = guarded.reader.split("//")[1].split("@")[0]
    guarded.run(
        "create schema crm",
        "create table crm.people as select * from contacts",
        "alter table crm.people add primary key (id)",
        f"grant usage on schema crm to {reader}",
        f"grant select on crm.people to {reader}",
    )
    text_of_map = MAP.read_text().replace("\n[[identity]]", f"\n{SESSION}\n[[identity]]", 1)
    found = open_crm(guarded, changed=text_of_map.replace('table = "contacts"\ntenant', 'table = "crm.people"\ntenant'))
    (dataset,) = (one for one in found.datasets if one.name == "contacts")
    (batch,) = found.export(ANN, dataset, Selection())
    assert [record["id"] for record in batch.records] == ["con_1"]
    assert dict(batch.withheld) == {"token": [0]}
    found._section.sources.database.dispose()


def test_the_lag_of_a_replica(pg_server: servers.Postgres) -> None:
    """A replica that replays nothing any more is refused with its lag; one that has all that was sent is not behind."""
    name = pg_server.create_database()
    with servers.replica_of(pg_server) as replica:
        database = open_database(*kind_of(replica.url(name), "url"), 60)
        check_lag(database, "crm", 1)
        with pg_server.connect(name) as connection, replica.connect(name) as standby:
            connection.execute("create table replayed (id integer)")
            while standby.execute("select to_regclass('replayed')").fetchone() == (None,):
                pass
            standby.execute("select pg_wal_replay_pause()")
            while standby.execute("select pg_get_wal_replay_pause_state()").fetchone() != ("paused",):
                pass  # it is requested, and may still replay what comes next
            connection.execute("create table more (id integer)")
        waited = _lag_of(database)
        assert "crm: the replica is" in waited
        assert "0.01 s are allowed" in waited
        database.dispose()
    primary = open_database(*kind_of(pg_server.url(name), "url"), 60)
    check_lag(primary, "crm", 1)
    primary.dispose()


def test_the_lag_of_mariadb(mariadb_server: servers.MariaDB) -> None:
    """A server that replicates from no other is not behind; an account that may not see it measures nothing."""
    name = mariadb_server.create_database()
    primary = open_database(*kind_of(mariadb_server.url(name), "url"), 60)
    check_lag(primary, "crm", 1)
    primary.dispose()
    reader = open_database(*kind_of(mariadb_server.url(name, name, password="reader"), "url"), 60)
    with pytest.raises(SourceRefused, match="OperationalError 1227"):
        check_lag(reader, "crm", 1)
    reader.dispose()


def _lag_of(database: object) -> str:
    """The refusal, as soon as the standby has received what it does not replay."""
    while True:
        try:
            check_lag(database, "crm", 0.01)  # type: ignore[arg-type]  # an engine
        except SourceUnavailable as error:
            return str(error)
