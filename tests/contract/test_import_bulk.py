"""Rows of an import that are written many at once: exact on SQLite and PostgreSQL, whatever a table does to values."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from handmade import CREATED, table, unpacked_archive
from importing import KEY, import_as, undone
from sqlalchemy import Engine, func, insert, inspect, select, text, update

from exporters.reference import schema
from receiver.binding.target import ImportTarget
from receiver.faults import UnknownImport
from receiver.importer import write
from receiver.importer.database import opened, plain_tables
from receiver.importer.report import ImportReport
from receiver.ledger import tables
from receiver.ledger.seals import JournalCipher

TEN_A = ImportTarget(tenant="ten_a")
TEXTS = ["", "\\N", "a\tb", "a\nb", "a\r\nb", "\\", "\\.", "\\t", "'\"", "NULL", "\u2028\U0001f600", "\x01\x7f", " x "]
"""Texts of which some have a meaning for COPY."""
ALTERED = {
    "a trigger": """
        CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name = upper(NEW.name); RETURN NEW; END';
        CREATE TRIGGER shouts BEFORE INSERT ON deals FOR EACH ROW EXECUTE FUNCTION shout()""",
    "a rule": "CREATE RULE quiet AS ON DELETE TO deals WHERE OLD.name = 'kept' DO INSTEAD NOTHING",
    "a policy": "ALTER TABLE deals ENABLE ROW LEVEL SECURITY; ALTER TABLE deals FORCE ROW LEVEL SECURITY;"
    " CREATE POLICY own ON deals USING (true)",
    "digits": "ALTER TABLE deals ALTER amount TYPE numeric(12, 1)",
    "a default": "ALTER TABLE deals ALTER private_note SET DEFAULT 'none'",
}


def deal(number: int, **values: object) -> dict[str, Any]:
    """A record of crm/deals."""
    return {"id": f"dea_{number:02}", "tenant_id": "ten_x", "name": "theirs", "created_at": CREATED, **values}


def import_members(folder: Path, url: str, *members: Any, name: str = "first", **options: Any) -> ImportReport:
    place = folder / name
    place.mkdir()
    return import_as(unpacked_archive(place, members), url, TEN_A, **options)


def deals_of(engine: Engine, *columns: str) -> list[tuple[Any, ...]]:
    of = schema.deals.c
    with engine.connect() as connection:
        found = connection.execute(select(*(of[name] for name in columns)).order_by(of.id))
        return [tuple(row) for row in found]


@pytest.fixture
def platform(control_engine: Engine) -> Engine:
    """The receiving platform, whose tables exist."""
    schema.metadata.create_all(control_engine)
    return control_engine


def test_a_text_that_copy_would_read_otherwise_is_stored_exactly(
    tmp_path: Path, platform: Engine, control_url: str
) -> None:
    """Tabs, ends of lines, backslashes, its sign for NULL and its end of data; also within JSON."""
    call = {"tenant_id": "ten_x", "direction": "in", "private_note": None, "created_at": CREATED}
    calls = [
        {**call, "id": f"cal_{number:02}", "outcome": value, "custom": {value: [value]}}
        for number, value in enumerate(TEXTS)
    ]
    report = import_members(tmp_path, control_url, table("calls", *calls))
    of = schema.calls.c
    with platform.connect() as connection:
        found = connection.execute(select(of.outcome, of.custom, of.private_note).order_by(of.id)).all()
    assert [tuple(row) for row in found] == [(value, {value: [value]}, None) for value in TEXTS]
    assert undone(control_url, report).conflicts == 0


def test_what_is_noted_is_what_is_stored(tmp_path: Path, control_url: str) -> None:
    """Of values that PostgreSQL writes in another way too: undoing finds no later change."""
    call = {"id": "cal_1", "tenant_id": "ten_x", "direction": "in", "created_at": "2026-01-02T03:04:05.1+07:00"}
    values = {"custom": [1e300, 1.5e16, 1e-7, -0.0, 2**53 + 1, {"b": 1, "a": None}], "duration_seconds": 0.1}
    costs = ["-0.00", "007.50", "0.0000001", "1" * 40 + ".0"]
    calls = [{**call, **values, "id": f"cal_{number}", "cost": cost} for number, cost in enumerate(costs)]
    report = import_members(tmp_path, control_url, table("calls", *calls, {**call, "custom": None, "id": "cal_9"}))
    again = import_members(tmp_path, control_url, table("calls", *calls), name="second")
    assert (again.datasets[0].same, again.conflicts) == (4, 0)
    assert (again.is_repeated, again.import_id) == (True, report.import_id)
    result = undone(control_url, report)
    assert (result.removed, result.conflicts) == (5, 0)


def test_null_of_json_is_not_json_s_own_null(tmp_path: Path, platform: Engine, control_url: str) -> None:
    """A query for calls without custom fields finds them."""
    call = {"id": "cal_1", "tenant_id": "ten_x", "direction": "in", "custom": None, "created_at": CREATED}
    import_members(tmp_path, control_url, table("calls", call))
    with platform.connect() as connection:
        query = select(func.count()).select_from(schema.calls).where(text("custom IS NULL"))
        assert connection.scalar(query) == 1


@pytest.mark.parametrize("count", [6, 7, 8, 14, 15])
def test_the_border_of_a_batch_is_not_seen(
    tmp_path: Path, platform: Engine, control_url: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each message answers the next: its id is mapped before its row is written, in this batch or an earlier one."""
    monkeypatch.setattr(write, "BATCH_ROWS", 7)
    common = {"tenant_id": "ten_x", "conversation_id": "cnv_1", "sender": "visitor", "created_at": CREATED}
    records = [
        {**common, "id": f"mes_{number:02}", "position": number, "sent_at": CREATED, "reply_to": f"mes_{number + 1:02}"}
        for number in range(count)
    ]
    conversation = {"id": "cnv_1", "tenant_id": "ten_x", "channel": "web", "status": "open", "created_at": CREATED}
    members = table("conversations", conversation, exporter="chats"), table("messages", *records, exporter="chats")
    report = import_members(tmp_path, control_url, *members)
    of = schema.messages.c
    with platform.connect() as connection:
        links = connection.execute(select(of.id, of.reply_to).order_by(of.id)).all()
    assert [tuple(row) for row in links] == [(one["id"], one["reply_to"]) for one in records]
    with tables.placed(platform).connect() as connection:
        made = select(func.count()).where(tables.ID.c.name == "messages", tables.ID.c.is_made)
        assert connection.scalar(made) == count
    assert undone(control_url, report).removed == count + 1


def test_a_conflict_within_a_batch_costs_the_other_rows_nothing(
    tmp_path: Path, platform: Engine, control_url: str
) -> None:
    """A row that is here, a row of another company with an id of the archive, and new rows, in one batch."""
    import_members(tmp_path, control_url, table("deals", deal(1), deal(2), exporter="crm"))
    moment = datetime.now(UTC)
    with platform.begin() as connection:
        connection.execute(update(schema.deals).where(schema.deals.c.id == "dea_01").values(name="ours"))
        other = {"id": "dea_03", "tenant_id": "ten_b", "name": "other", "created_at": moment}
        connection.execute(insert(schema.deals), other)
    records = [deal(1, name="new"), deal(2), deal(3), deal(4), deal(4, name="last")]
    report = import_members(tmp_path, control_url, table("deals", *records, exporter="crm"), name="second")
    (deals,) = report.datasets
    assert (deals.new, deals.same, deals.changed, deals.conflicts) == (2, 1, 1, 1)
    assert sorted(deals_of(platform, "tenant_id", "name")) == [
        ("ten_a", "last"), ("ten_a", "ours"), ("ten_a", "theirs"), ("ten_a", "theirs"), ("ten_b", "other")
    ]  # fmt: skip


@pytest.mark.parametrize("altered", ALTERED)
def test_a_table_that_changes_values_is_read_again(tmp_path: Path, pg_url: str, altered: str) -> None:
    """Its rows are inserted as before, and the journal has what is stored: undoing finds no later change."""
    with opened(pg_url, make=True) as engine:
        with engine.begin() as connection:
            assert "deals" in plain_tables(connection)
            for statement in ALTERED[altered].split(";\n"):
                connection.execute(text(statement))
            assert schema.metadata.tables.keys() - plain_tables(connection) == {"deals"}
        records = [deal(number, amount="10.5") for number in range(3)]
        report = import_members(tmp_path, pg_url, table("deals", *records, exporter="crm"))
        assert len(deals_of(engine, "id")) == 3
        result = undone(pg_url, report)
        assert (result.removed, result.conflicts) == (3, 0)


def test_the_journal_of_an_earlier_release_is_read(tmp_path: Path, platform: Engine, control_url: str) -> None:
    """Its entries were compressed and encrypted each by Fernet, every value with its type: it merges and undoes."""
    report = import_members(tmp_path, control_url, table("deals", deal(1, amount="1.50"), deal(2), exporter="crm"))
    with tables.placed(platform).begin() as connection:
        cipher = KEY.cipher(connection, TEN_A.name)
        for row in connection.execute(select(tables.CHANGE)).all():
            groups = cipher.open(row.sealed)
            earlier = {"base": {name: groups["after"][name] for name in deal(1)}, **groups}
            del earlier["own"]
            change = update(tables.CHANGE).where(tables.CHANGE.c.seq == row.seq)
            connection.execute(change.values(sealed=as_before(target_key(connection), earlier)))
    again = import_members(tmp_path, control_url, table("deals", deal(1, name="new"), exporter="crm"), name="second")
    assert (again.datasets[0].changed, again.conflicts) == (1, 0)
    assert undone(control_url, again).restored == 1
    assert undone(control_url, report).removed == 2


def as_before(key: bytes, groups: dict[str, dict[str, Any]]) -> bytes:
    """Encrypt an entry as earlier releases did."""
    tagged = {name: {one: as_tagged(value) for one, value in values.items()} for name, values in groups.items()}
    return Fernet(key).encrypt(zlib.compress(json.dumps(tagged).encode(), 1))


def as_tagged(value: object) -> list[object]:
    if isinstance(value, datetime):
        return ["time", value.isoformat()]
    return ["decimal", str(value)] if isinstance(value, Decimal) else ["", value]


def target_key(connection: Any) -> bytes:
    wrapped = connection.scalar(select(tables.KEY.c.wrapped).where(tables.KEY.c.target == TEN_A.name))
    return KEY._wrap.decrypt(bytes(wrapped))


def test_indexes_of_an_earlier_release_are_dropped(tmp_path: Path, platform: Engine, control_url: str) -> None:
    """With one of them PostgreSQL looked up ids in quadratic time."""
    place = f"{tables.SCHEMA}." if platform.dialect.name == "postgresql" else ""
    with opened(control_url, make=True) as engine, engine.begin() as connection:
        columns = "(target, issuer, name, local_id)"
        connection.execute(text(f"CREATE INDEX portability_import_id_own ON {place}portability_import_id {columns}"))
    import_members(tmp_path, control_url, table("deals", deal(1), exporter="crm"))
    with opened(control_url, make=False) as engine, engine.connect() as connection:
        indexes = inspect(connection).get_indexes("portability_import_id", schema=tables.SCHEMA if place else None)
    assert [one["name"] for one in indexes] == ["portability_import_id_local"]


@pytest.fixture
def cipher() -> JournalCipher:
    return JournalCipher(Fernet.generate_key())


def test_an_entry_is_encrypted_anew_and_checked(cipher: JournalCipher) -> None:
    """Equal values are not seen as equal, and a changed entry is refused."""
    groups = {"base": {"name": "x" * 100}}
    first, second = cipher.seal(groups), cipher.seal(groups)
    assert first[:1] == second[:1] == b"\x02"
    assert first[1:13] != second[1:13]
    assert b"xxx" not in first
    for changed in (first[:-1] + bytes([first[-1] ^ 1]), first[:5], b"gAAAAA"):
        with pytest.raises(UnknownImport, match="was changed after it was written"):
            cipher.open(changed)


@pytest.mark.parametrize("value", [2**70, float("inf"), {"a": [2**70]}, "\ud800", "\0"])
def test_a_value_that_the_fast_writer_refuses_is_kept(cipher: JournalCipher, value: object) -> None:
    """Integers of more than 64 bits, infinity, and half of a pair of UTF-16."""
    assert cipher.open(cipher.seal({"before": {"it": value}})) == {"before": {"it": value}}
