"""The rights that `db rights` prints for the application's role: enough for all that it does, and not more."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import servers
from factories import MadeUpExporter, World, dataset, things, world
from psycopg import sql
from sqlalchemy import make_url, text, update

from cli.context import Context
from cli.database_check import control_database
from portability.api import Field, FieldType, Person, Provenance, Role
from portability.database import incidents, migrations, models
from portability.database.engine import now, open_engine, reading, writing
from portability.database.incidents import Incident
from portability.database.rights import grants
from portability.delivery import codes, downloads, links
from portability.errors import DatabaseUnavailable
from portability.requests import acceptance, approvals, exports, idempotency, instructions
from portability.requests.approvals import Cause
from portability.requests.policy import Actor
from portability.requests.states import ExportState
from portability.retention import erasures, legal_holds, recalls
from portability.trust import audit, keys
from worker.clock import erasure, purge
from worker.export import advance
from worker.write.withdraw import withdraw_discarded

TEST = "operator:test"
APPLICATION = "portability_app"
TAGGED = dataset(
    "things", Role.CONTROLLER, Field("staff", FieldType.STRING, "Who.", Provenance.OBSERVED, person=Person.STAFF)
)


@pytest.fixture
def limited(pg_control_url: str, pg_server: servers.Postgres, tmp_path: Path) -> Iterator[World]:
    """A world whose database was made by its owner and is used by the application's role."""
    owner = open_engine(pg_control_url)
    role = f"{APPLICATION}_{make_url(pg_control_url).database}"
    with writing(owner) as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        for statement in (*grants(role), *grants(role)):
            connection.execute(text(statement))
    yield world(
        tmp_path,
        {"made": MadeUpExporter([{**thing, "staff": "usr_7"} for thing in things(3)], datasets=(TAGGED,))},
        database_url=pg_control_url.replace("postgres@", f"{role}@"),
    )
    with writing(owner) as connection:
        connection.execute(text(f"DROP OWNED BY {role}"))
    owner.dispose()
    pg_server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_the_rights_are_enough(limited: World) -> None:
    """From the keys to a recall: everything that workers, clock, pages and command line write."""
    folder, olga = limited.place.settings.keys, Actor("officer", "olga")
    export_id = limited.request()
    limited.advance_all()
    held, denied = limited.request("user:usr_2"), limited.request("user:usr_3")
    with writing(limited.engine) as connection:
        keys.ensure(connection, folder, actor=TEST)
        order = instructions.add(connection, "ten_1", contact_id=None, exporters=None, actor=TEST)
        instructions.withdraw(connection, order, actor=TEST)
        approvals.ask(connection, held, [Cause.SWITCH], actor=Actor("staff", "sue"))
        approvals.approve(connection, held, actor=olga)
        approvals.deny(connection, denied, reason="x", actor=olga)
        exports.cancel(connection, held, actor=TEST)
        wanted = acceptance.check(profile="access", subject="user:usr_4")
        test = Actor("operator", "test")
        make = partial(acceptance.accept, connection, wanted, actor=test)
        idempotency.once(connection, "k", b"", caller=TEST, make=lambda: make()[0])
        given = links.issue(connection, folder, export_id, audience="code", ttl_seconds=60, actor=TEST)
        link = links.resolve(connection, folder, given.token)
        codes.send(connection, folder, link)
        codes.check(connection, folder, link, "00000000")
        claim = links.claim(connection, link, 1, actor=TEST, claims_max=1, claim_seconds=60)
        download = downloads.begin(connection, link, links.claimed(connection, link, 1, claim), claim, device="")
        downloads.sent(connection, download, 0, 1, is_over=True)
        downloads.end_idle(connection)
        recall_id = recalls.recall(connection, export_id, reason="x", actor=TEST)
        recalls.close(connection, recall_id, outcome="y", actor=TEST)
    assert withdraw_discarded(limited.engine, lambda: limited.place.storage, {ExportState.RECALLED}) == 1
    with writing(limited.engine) as connection:
        hold = legal_holds.add(connection, subject="user:usr_9", tenant=None, reason="x", actor=TEST)
        legal_holds.release(connection, hold, actor=TEST)
        row = exports.get(connection, export_id)
        whom = erasures.Whom(row["subject_kind"], row["subject_id"], row["tenant"])
        erasures.begin(connection, whom, reason="x", actor=TEST, ground="subject")
    assert erasure.advance(limited.engine, lambda: limited.place.storage) == 1
    assert erasure.attest(limited.engine, folder, "https://x.example") == 1
    with writing(limited.engine) as connection:
        connection.execute(update(models.export).values(ended_at=now(-900 * 86_400)))
    assert purge.purge(limited.engine, 24) > 0
    with reading(limited.engine) as connection:
        assert audit.verify(connection).ok


def test_every_table_has_its_rights(limited: World) -> None:
    """A table that a later migration adds is on the page too."""
    with reading(limited.engine) as connection:
        unread = [
            name
            for name in models.metadata.tables
            if not connection.scalar(text(f"SELECT has_table_privilege('{name}', 'SELECT')"))  # our models
        ]
    assert unread == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET actor = 'x'",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event",
        "UPDATE audit_unchained SET actor = 'x'",
        "TRUNCATE audit_unchained",
        "ALTER TABLE audit_event DISABLE TRIGGER ALL",
        "DELETE FROM audit_head",
        "DELETE FROM erasure",
        "DELETE FROM signing_key",
        "DROP TABLE link",
    ],
)
def test_the_past_is_out_of_its_reach(limited: World, statement: str) -> None:
    """Not the log, not the fact of an erasure, not the keys that signed. Records of requests are purged by rule."""
    with (
        pytest.raises(DatabaseUnavailable, match=r"failed: InsufficientPrivilege for the table \w+$"),
        writing(limited.engine) as connection,
    ):
        connection.execute(text(statement))


def test_the_doctor_names_tables_whose_rights_are_missing(limited: World, pg_control_url: str) -> None:
    """A release may add tables, and `db rights` may be forgotten; the owner lacks nothing."""
    doctor = Context(lambda: limited.place.settings, json=False)
    control_database(doctor)
    owner = open_engine(pg_control_url)
    role = limited.engine.url.username
    with writing(owner) as connection:
        connection.execute(text(f"REVOKE INSERT ON feed, schedule FROM {role}"))
    with pytest.raises(DatabaseUnavailable, match=r"lacks rights on 2 tables: feed, schedule$"):
        control_database(doctor)
    owner.dispose()


def test_the_doctor_names_an_encoding_that_not_every_name_fits(pg_server: servers.Postgres, tmp_path: Path) -> None:
    """A cluster that was made in the locale C has databases of bytes: a name with an umlaut ends a job."""
    pg_server.execute(sql.SQL("CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0").format())
    place = world(tmp_path, {}, database_url=pg_server.url("bytes")).place
    with pytest.raises(DatabaseUnavailable, match="has the encoding SQL_ASCII"):
        control_database(Context(lambda: place.settings, json=False))
    pg_server.execute(sql.SQL("DROP DATABASE bytes WITH (FORCE)").format())


def test_an_export_waits_for_the_rights_of_a_new_release(limited: World, pg_control_url: str) -> None:
    """Between an upgrade and its `db rights`, exports wait as during an outage: none fails, and the cause is named."""
    export_id = limited.request()
    owner = open_engine(pg_control_url)
    role = limited.engine.url.username
    with writing(owner) as connection:
        connection.execute(text(f"REVOKE INSERT ON ledger FROM {role}"))
    for _ in range(7):  # one more than ATTEMPTS_MAX
        held = limited.claim()
        assert held
        advance(limited.place, held)
        error = limited.view(export_id)["error"]
        assert error["message"].endswith(" failed: InsufficientPrivilege for the table ledger")
    with writing(owner) as connection:
        connection.execute(text(f"GRANT INSERT ON ledger TO {role}"))
    owner.dispose()
    limited.advance_all()
    assert limited.view(export_id)["state"] == "ready"


def test_tables_in_another_schema(pg_server: servers.Postgres, tmp_path: Path) -> None:
    """The statements name the schema of the tables. Until a role has them it sees no tables, and the hint says so."""
    database, role = pg_server.create_database(), f"{APPLICATION}_{secrets.token_hex(6)}"
    url = f"{pg_server.url(database)}?options=-csearch_path%3Dits_own"
    with pg_server.connect(database) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA its_own"))
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        owner, limited = open_engine(url), open_engine(url.replace("postgres@", f"{role}@"))
        migrations.upgrade(owner)
        with pytest.raises(DatabaseUnavailable, match="revision none") as raised:
            migrations.check_current(limited)
        assert "`portability db rights | psql portability` (with --schema" in raised.value.hint
        for statement in grants(role, "its_own"):
            connection.execute(statement.encode())
        migrations.check_current(limited)
        incidents.count(limited, Incident.FOREIGN_MESSAGE)
        with writing(limited) as written:
            keys.ensure(written, tmp_path, actor=TEST)  # with an event in the log, whose numbers are of a sequence
        assert [row["count"] for row in incidents.counted(limited)] == [1]
        for engine in (owner, limited):
            engine.dispose()
        connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_an_upgrade_by_the_role_of_the_application_names_the_owner(limited: World, pg_url: str) -> None:
    """The URL of the wrong account is one line of error, and the hint says which account upgrades."""
    role = limited.engine.url.username
    engine = open_engine(pg_url.replace("postgres@", f"{role}@"))
    with pytest.raises(DatabaseUnavailable, match=r"failed: InsufficientPrivilege for the schema public$") as raised:
        migrations.upgrade(engine)
    assert "`portability db upgrade` as the owner" in raised.value.hint
    engine.dispose()
