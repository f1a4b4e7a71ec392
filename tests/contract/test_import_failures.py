"""A PostgreSQL target that fails or was altered: the command says what to do, and the same command continues."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from handmade import CREATED, table, unpacked_archive
from importing import import_as, undone
from sqlalchemy import Engine, create_engine, make_url, text

from receiver.binding.target import ImportTarget
from receiver.importer import database
from receiver.importer.database import opened
from receiver.importer.faults import BadTarget, TargetUnavailable
from receiver.inbox.forget import forget_target_of
from receiver.ledger import runs

TARGET = ImportTarget(tenant="ten_here")
DEAL = {"id": "dea_1", "tenant_id": "ten_x", "name": "theirs", "created_at": CREATED}
RECORDS = 20
"""Enough for a pipeline of the driver."""
LOCK_SECONDS = "SELECT current_setting('lock_timeout')"


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """An archive with one deal."""
    return unpacked_archive(tmp_path, [table("deals", DEAL, exporter="crm")])


@pytest.fixture
def administrator(pg_url: str) -> Iterator[Engine]:
    """The administrator of the administrator, whose statements are committed at once."""
    engine = create_engine(pg_url, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


def run_statements(engine: Engine, *statements: str) -> None:
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))


def states_of(url: str) -> list[str]:
    """The states of all imports, as `imports list` reads them."""
    with opened(url, make=False, is_checked=False) as engine, engine.begin() as connection:
        return [run.state for run in runs.listed(connection)]


def failure(folders: list[Path], url: str) -> TargetUnavailable:
    with pytest.raises(TargetUnavailable) as raised:
        import_as(folders, url, TARGET)
    return raised.value


def test_a_lost_connection_says_to_run_it_again(folders: list[Path], pg_url: str, administrator: Engine) -> None:
    """The target and its journal are those of the batches before: the same command continues the same import."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"

    def cut(_read: int) -> None:
        run_statements(administrator, f"{others} AND pid <> pg_backend_pid()")

    with pytest.raises(TargetUnavailable, match=r"AdminShutdown|the connection was lost") as raised:
        import_as(folders, pg_url, TARGET, started=lambda _total: cut)
    assert "run it again" in raised.value.hint
    assert states_of(pg_url) == ["running"]
    assert import_as(folders, pg_url, TARGET).datasets[0].new == 1
    assert states_of(pg_url) == ["done"]


def test_a_lock_of_another_session_ends_the_import(
    folders: list[Path], pg_url: str, administrator: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for some time, not for ever, and says what it has waited for."""
    import_as(folders, pg_url, TARGET)
    monkeypatch.setattr(database, "_BOUND", text("SELECT set_config('lock_timeout', '20ms', true)"))
    with administrator.execution_options(isolation_level="READ COMMITTED").connect() as other:
        other.execute(text("LOCK TABLE deals IN ACCESS EXCLUSIVE MODE"))
        fault = failure(folders, pg_url)
    assert str(fault) == "the database of --into failed: LockNotAvailable"
    assert "pg_locks" in fault.hint


def test_another_import_is_waited_for_with_a_word_and_a_bound(
    folders: list[Path], pg_url: str, administrator: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run, or a session whose machine is gone, would keep this command without a word for ever."""
    import_as(folders, pg_url, TARGET)
    said: list[str] = []
    monkeypatch.setattr(database, "TURN_SECONDS", 0.02)
    with administrator.connect() as other:
        other.execute(text(f"SELECT pg_advisory_lock({database.LOCK})"))
        with pytest.raises(TargetUnavailable, match="another import or undo did not end in time"):
            import_as(folders, pg_url, TARGET, waits=said.append)
        monkeypatch.setattr(database, "TURN_SECONDS", 600)

        def end_other(word: str) -> None:
            said.append(word)
            other.execute(text(f"SELECT pg_advisory_unlock({database.LOCK})"))

        assert import_as(folders, pg_url, TARGET, waits=end_other).datasets[0].same == 1
    assert said == ["waits for another import or undo, which writes into the database of --into"] * 2


@pytest.mark.parametrize(("options", "seen"), [({}, "30s"), ({"options": "-c lock_timeout=7s"}, "7s")])
def test_a_limit_of_locks_that_is_set_stays(pg_url: str, options: dict[str, str], seen: str) -> None:
    """The role, the database or the URL may have one."""
    url = make_url(pg_url).update_query_dict(options).render_as_string(hide_password=False)
    with opened(url, make=True) as engine, database.batches(engine, dry_run=False) as batch, batch() as connection:
        assert connection.scalar(text(LOCK_SECONDS)) == seen


@contextmanager
def limited_role(administrator: Engine) -> Iterator[str]:
    """A role that may write into all tables of the administrator, and make nothing."""
    role, schemas = f"r_{secrets.token_hex(6)}", "SCHEMA public, portability_import"
    grants = f"GRANT USAGE ON {schemas} TO {role}", f"GRANT ALL ON ALL TABLES IN {schemas} TO {role}"
    numbers = f"GRANT ALL ON ALL SEQUENCES IN {schemas} TO {role}"
    run_statements(administrator, f"CREATE ROLE {role} LOGIN", *grants, numbers)
    yield role
    run_statements(administrator, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_role_makes_the_schema_once(folders: list[Path], pg_url: str, administrator: Engine) -> None:
    """Then it writes into tables; one into which it must not is named, and nothing stays in the way."""
    first = import_as(folders, pg_url, TARGET)
    with limited_role(administrator) as role:
        url = make_url(pg_url).set(username=role).render_as_string(hide_password=False)
        assert undone(url, first).removed == 1
        run_statements(administrator, f"REVOKE INSERT ON deals FROM {role}")
        fault = failure(folders, url)
        assert str(fault) == "the database of --into failed: InsufficientPrivilege for the table deals"
        assert "grant the role" in fault.hint
        run_statements(administrator, f"GRANT INSERT ON deals TO {role}")
        assert import_as(folders, url, TARGET).datasets[0].new == 1
    assert states_of(pg_url) == ["done"]


def test_the_journal_of_an_altered_target_is_listed_and_forgotten(
    folders: list[Path], pg_url: str, administrator: Engine
) -> None:
    """The list and an erasure need no table of the schema."""
    import_as(folders, pg_url, TARGET)
    run_statements(administrator, "ALTER TABLE deals DROP COLUMN stage")
    assert states_of(pg_url) == ["done"]
    assert forget_target_of(pg_url, TARGET) == 1
    assert states_of(pg_url) == []


def test_undoing_without_a_table_changes_nothing(folders: list[Path], pg_url: str, administrator: Engine) -> None:
    """It names the table, and the import is as before: also its target takes other imports."""
    report = import_as(folders, pg_url, TARGET)
    run_statements(administrator, "ALTER TABLE deals RENAME TO deals_of_last_year")
    with pytest.raises(BadTarget, match="the database has no table deals, whose rows the import has changed"):
        undone(pg_url, report)
    assert states_of(pg_url) == ["done"]
    run_statements(administrator, "ALTER TABLE deals_of_last_year RENAME TO deals")
    assert undone(pg_url, report).removed == 1


def test_a_refused_record_leaves_no_line_of_the_driver(
    tmp_path: Path, pg_url: str, administrator: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """The report counts it; the driver would write a line with the address of the server for each."""
    records = ({**DEAL, "id": f"dea_{number}"} for number in range(RECORDS))
    folders = unpacked_archive(tmp_path, [table("deals", *records, exporter="crm")])
    with opened(pg_url, make=True):
        run_statements(administrator, "ALTER TABLE deals ADD CHECK (name <> 'theirs')")
    assert import_as(folders, pg_url, TARGET).datasets[0].refused.total() == RECORDS
    assert [record.name for record in caplog.records if record.name.startswith("psycopg")] == []
