"""A phone desk: rows by address, joined tables, parts and documents, in tables of its own; its map `phone_desk.toml`.

Companies 7 and 8. Customer 1 of company 7 is Ann, alone with her number and address. 2 and 3 share a number. 4 is a
second record of Ann. 5 is of company 8 and has Ann's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from crm_database import TYPES, CrmDatabase, Row

MAP = Path(__file__).with_name("phone_desk.toml")
ANN_TEL, SHARED_TEL = "+6281200000001", "+6281200000002"
PROVED, CALLED = "2026-01-01 00:00:00.000000", "2026-01-02 03:04:05.600000"
DDL = """
create table orgs (id integer primary key);
create table customers (id integer primary key, org integer not null, full_name {text}, mail {text},
 mail_proved_at {time}, tel {text}, tel_proved_at {time}, left_at {time});
create table logins (id integer primary key, mail {text}, mail_proved_at {time});
create table agents (code {text} primary key, full_name {text}, team {text});
create table phone_calls (id integer primary key, org integer not null, customer integer, caller {text}, called {text},
 way {text}, agent {text}, began_at {time}, stored_at {time} not null, keep_until {time});
create table call_lines (id integer primary key, org integer not null, of_call integer not null, words {text},
 hidden {bool} not null);
create table meetings (id integer primary key, org integer not null, customer integer, people {json}, held_at {time});
create table letters (id integer primary key, login integer, mail {text}, sender {text})
"""
NULLS = (
    *("kind", "tenant_id", "channel", "subject", "status", "language", "created_at", "started_at", "ended_at"),
    *("seconds", "parties", "staff", "speakers", "recordings", "attachments", "analysis"),
)
SHAPE = f"""
def shape(call, parts):
    lines = [line["text"] for line in parts["lines"]]
    return {{"id": call["id"], **dict.fromkeys({NULLS!r}), "dialog": lines}}
"""


def fill_desk(url: str, reader: str) -> CrmDatabase:
    """Make and fill the tables."""
    desk = CrmDatabase(url, reader)
    engine = desk.engine()
    types = {**TYPES[engine.dialect.name], **({"text": "varchar(60)"} if engine.dialect.name == "mysql" else {})}
    engine.dispose()
    desk.run(*(statement.format(**types) for statement in DDL.split(";")))
    for table, rows in _rows().items():
        desk.put(table, rows)
    return desk


def _rows() -> Mapping[str, Sequence[Row]]:
    return {
        "orgs": [(7,), (8,)],
        "customers": [
            (1, 7, "Ann Ox", "ann@example.test", PROVED, ANN_TEL, PROVED, None),
            (2, 7, "Bob", None, None, SHARED_TEL, PROVED, None),
            (3, 7, "Cleo", None, None, SHARED_TEL, None, None),
            (4, 7, "Ann Ox", "ANN@example.test", PROVED, None, None, None),
            (5, 8, "Ann", None, None, ANN_TEL, PROVED, None),
        ],
        "logins": [(1, "user@example.test", PROVED)],
        "agents": [("a1", "Dan", "north")],
        "phone_calls": [
            _call(1, customer=1, agent="a1", keep_until=PROVED),
            _call(2, caller="+62 (812) 0000-0001"),
            _call(3, caller=SHARED_TEL),
            _call(4, called=ANN_TEL, way="out", agent="a9"),
            _call(5, caller=ANN_TEL, way="out", called="+62813"),
            _call(6, caller=ANN_TEL, began_at="2025-12-31 00:00:00.000000"),
            _call(7, customer=4, way=None, keep_until=PROVED),
            _call(8, org=8, customer=5),
        ],
        "call_lines": [
            (1, 7, 1, "hello", False),
            (2, 7, 1, "hidden", True),
            (3, 8, 1, "of another company", False),
            (4, 7, 2, "by number", False),
            (5, 7, 3, "by a shared number", False),
        ],
        "meetings": [
            (1, 7, None, '[{"mail": "Ann@EXAMPLE.test"}]', CALLED),
            (2, 7, None, '["someone@example.test"]', CALLED),
            (3, 7, 1, "[]", CALLED),
        ],
        "letters": [
            (1, None, "rita@example.test", "Rita Ray"),
            (2, None, "RITA@example.test", "Rita"),
            (3, None, "two@example.test", "Tim"),
            (4, None, "two@example.test", "Una"),
            (5, None, "user@example.test", "User"),
            (6, 1, "other@example.test", "User"),
        ],
    }


def _call(number: int, *, org: int = 7, way: str | None = "in", began_at: str = CALLED, **known: int | str) -> Row:
    people = [known.get(name) for name in ("customer", "caller", "called")]
    stored_at = f"2026-01-0{number} 00:00:00.000000"
    return (number, org, *people, way, known.get("agent"), began_at, stored_at, known.get("keep_until"))
