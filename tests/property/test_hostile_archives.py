"""Archives of an attacker with a valid signature: whatever they contain, only rows of the bound target change.

The whole database is compared before and after by statements of this module; nothing of the importer decides here.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from handmade import CREATED, table, unpacked_archive
from importing import import_as
from mutated import MAKERS

from exporters.reference import schema
from exporters.sql.values import field_type
from portability.api import FieldType
from portability.database.engine import open_engine
from receiver.binding.columns import RULES
from receiver.binding.tables import TABLES
from receiver.binding.target import ImportTarget
from receiver.ledger.merge import OnConflict

OWNERS = ("a", "b")
"""The target has rows of `a`; rows of `b` are the victim's."""
TARGETS: Mapping[str, ImportTarget] = {
    "tenant": ImportTarget(tenant="ten_a"),
    "user": ImportTarget(tenant="ten_a", user="usr_a"),
    "contact": ImportTarget(tenant="ten_a", contact="con_a"),
    "email": ImportTarget(email="a@example.org"),
}
OWNED: Mapping[str, Mapping[str, str]] = {
    "tenant": {"organisations": "id = 'ten_a'", "*": "tenant_id = 'ten_a'"},
    "user": {
        "users": "id = 'usr_a'",
        "inquiry_replies": "inquiry_id IN (SELECT id FROM inquiries WHERE user_id = 'usr_a')",
        "subscriptions": "user_id = 'usr_a' AND tenant_id = 'ten_a'",
        "invoices": "user_id = 'usr_a' AND tenant_id = 'ten_a'",
        "payment_methods": "user_id = 'usr_a' AND tenant_id = 'ten_a'",
        "*": "user_id = 'usr_a'",
    },
    "contact": {
        "contacts": "id = 'con_a' AND tenant_id = 'ten_a'",
        **{
            name: f"tenant_id = 'ten_a' AND {column} IN (SELECT id FROM {of} WHERE contact_id = 'con_a')"  # noqa: S608  # constants
            for names, column, of in (
                ("transcripts recordings call_analyses", "call_id", "calls"),
                ("messages attachments", "conversation_id", "conversations"),
            )
            for name in names.split()
        },
        "*": "tenant_id = 'ten_a' AND contact_id = 'con_a'",
    },
    "email": {
        "inquiry_replies": "inquiry_id IN (SELECT id FROM inquiries"
        " WHERE user_id IS NULL AND lower(email) = 'a@example.org')",
        "*": "user_id IS NULL AND lower(email) = 'a@example.org'",
    },
}
"""Which rows are the target's, by kind of target and table."""
PROTECTED = {
    "users": "email_verified_at phone_verified_at mfa_enabled closed_at legal_hold",
    "organisations": "plan data_region closed_at legal_hold",
    "memberships": "role",
    "contacts": "email_verified_at phone_verified_at",
    "calls": "legal_hold",
    "conversations": "legal_hold",
    "roles": "permissions",
    "devices": "trusted",
    "subscriptions": "status",
    "payment_methods": "is_default",
    "agents": "enabled",
    "integrations": "enabled",
}
"""Columns that no archive sets."""
HARMLESS = (None, 0, "member", "imported")
"""What a new row may have in such a column."""
SECRETS = {
    table.name: [column.name for column in table.columns if column.info and column.name != "storage_key"]
    for table in schema.metadata.sorted_tables
}
VALUES: Mapping[FieldType, list[Any]] = {
    FieldType.BOOLEAN: [True, False],
    FieldType.DATETIME: [CREATED, "2030-01-01T00:00:00Z"],
    FieldType.DATE: ["2020-02-29"],
    FieldType.DECIMAL: ["0.01", "-1"],
    FieldType.INTEGER: [0, 1, 99],
    FieldType.NUMBER: [0, 0.5, 99],
    FieldType.OBJECT: [{"admin": True}, ["*"], {"id": "usr_b"}],
    FieldType.STRING: ["owner", "b@example.org", "a@example.org", "' OR 1=1 --", "active", "enterprise", ""],
}
IDS = [f"{prefix}_{owner}" for prefix in ("ten", "usr", "con", "row", "new") for owner in OWNERS]


def prefixed(name: str, owner: str) -> str:
    return f"{ {'organisations': 'ten', 'users': 'usr', 'contacts': 'con'}.get(name, 'row') }_{owner}"


def platform(folder: Path) -> Path:
    """A database with a row of both owners in every table."""
    path = folder / "platform.db"
    engine = open_engine(f"sqlite:///{path}")
    schema.metadata.create_all(engine)
    with engine.begin() as connection:
        for of in schema.metadata.sorted_tables:
            for owner in OWNERS:
                values = {
                    column.name: local_value(column, owner, Random(f"{of.name}{column.name}")) for column in of.columns
                }
                connection.execute(of.insert().values(values | {"id": prefixed(of.name, owner)}))
    engine.dispose()
    return path


def local_value(column: Any, owner: str, random: Random) -> Any:
    """A value of a row that is here."""
    links = {"tenant_id": "ten", "user_id": "usr", "contact_id": "con"}
    if column.name.endswith("_id"):
        return f"{links.get(column.name, 'row')}_{owner}"
    if column.name == "email":
        return f"{owner}@example.org"
    return MAKERS[field_type(column.type)](random)


def hostile_value(column: Any, own: str, random: Random) -> Any:
    """A value that an attacker would try, of the right type or not; `own` is how the archive names its target."""
    kind = field_type(column.type)
    if random.random() < 0.005:
        return random.choice([None, [], {}, 7, True, "x" * 600, -1, "\0"])
    if column.name == "id" or column.name.endswith(("_id", "_by", "_to")):
        links = ("tenant_id", "user_id", "contact_id")
        share = 0.93 if column.name in links else 0.2
        return own if random.random() < share else random.choice([*IDS, f"free_{random.randrange(50)}"])
    if column.name == "email" and random.random() < 0.5:
        return "A@example.org"
    return random.choice(VALUES[kind])


def hostile_members(kind: str, own: str, random: Random) -> Iterator[tuple[str, bytes, Any]]:
    """Records of some datasets, with any columns, secrets among them; few datasets that the kind does not bring."""
    fitting = [name for name in sorted(TABLES) if kind in RULES["/".join(name)].kinds]
    chosen = {*random.sample(fitting, min(len(fitting), random.randrange(3, 9))), random.choice(sorted(TABLES))}
    for exporter, dataset in sorted(chosen):
        of = TABLES[exporter, dataset]
        share = random.choice([0.5, 0.9, 1.0])
        records = [
            {
                column.name: hostile_value(column, own, random)
                for column in of.columns
                if not (column.nullable and random.random() > share)
            }
            for _ in range(random.randrange(1, 7))
        ]
        yield table(dataset, *records, exporter=exporter)


Content = dict[str, dict[str, tuple[Any, ...]]]


def content(path: Path) -> Content:
    """Every row of every table of the platform."""
    with sqlite3.connect(path) as connection:
        return {
            of.name: {
                row[0]: row
                for row in connection.execute(f"SELECT {', '.join(c.name for c in of.columns)} FROM {of.name}")  # noqa: S608  # names of the schema
            }
            for of in schema.metadata.sorted_tables
        }


def owned(path: Path, kind: str) -> dict[str, set[str]]:
    """Ids of the target's rows by table; a table without its columns has none."""
    found: dict[str, set[str]] = {}
    with sqlite3.connect(path) as connection:
        for of in schema.metadata.sorted_tables:
            condition = OWNED[kind].get(of.name, OWNED[kind]["*"])
            names = [word for word in ("tenant_id", "user_id", "contact_id", "email") if word in condition]
            if of.name in OWNED[kind] or all(name in of.c for name in names):
                rows = connection.execute(f"SELECT id FROM {of.name} WHERE {condition}")  # noqa: S608  # constants
                found[of.name] = {row[0] for row in rows}
    return found


def unexpected_changes(before: Content, after: Content, mine: list[dict[str, set[str]]]) -> list[str]:
    """What changed and must not: rows of others, removed rows, protected columns, secrets."""
    found: list[str] = []
    for of in schema.metadata.sorted_tables:
        name, places = of.name, {column.name: number for number, column in enumerate(of.columns)}
        found += [f"{name} {identifier}: removed" for identifier in before[name].keys() - after[name].keys()]
        for identifier, row in after[name].items():
            old = before[name].get(identifier)
            if row == old:
                continue
            # A row that was here must have been the target's before, too.
            if any(identifier not in ids.get(name, ()) for ids in (mine if old else mine[1:])):
                found.append(f"{name} {identifier}: not the target's")
            for column in PROTECTED.get(name, "").split():
                value = row[places[column]]
                if value != old[places[column]] if old else value not in HARMLESS:
                    found.append(f"{name} {identifier}: {column} was set")
            secrets = (
                column for column in SECRETS[name] if row[places[column]] != (old[places[column]] if old else None)
            )
            found += [f"{name} {identifier}: {column} was set" for column in secrets]
    return found


def attack(path: Path, folder: Path, seed: int) -> tuple[list[str], int]:
    """Import one hostile archive; returns what it must not have done, and the number of rows that it wrote."""
    random = Random(seed)
    kind = random.choice(sorted(TARGETS))
    before, mine = content(path), owned(path, kind)
    folders = unpacked_archive(
        folder,
        list(hostile_members(kind, Random(seed // 20).choice([*IDS, "theirs"]), random)),
        profile="switch" if kind == "tenant" else "portability",
        subject_kind=kind,
    )
    on_conflict = random.choice([OnConflict.KEEP, OnConflict.TAKE])
    report = import_as(folders, f"sqlite:///{path}", TARGETS[kind], on_conflict=on_conflict)
    written = sum(one.new + one.changed for one in report.datasets)
    return unexpected_changes(before, content(path), [mine, owned(path, kind)]), written


def attacks(first: int, count: int) -> tuple[list[tuple[int, list[str]]], int]:
    """Import many; each database takes 20 of them, so that later archives meet rows of earlier archives."""
    failed: list[tuple[int, list[str]]] = []
    written = 0
    for begin in range(first, first + count, 20):
        with tempfile.TemporaryDirectory() as name:
            path = platform(Path(name))
            for seed in range(begin, min(begin + 20, first + count)):
                with tempfile.TemporaryDirectory() as own:
                    done, rows = attack(path, Path(own), seed)
                written += rows
                if done:
                    failed.append((seed, done))
    return failed, written


@pytest.mark.requirement("R46")
@pytest.mark.timeout(14_400)
@pytest.mark.parametrize(("first", "count"), [(0, 30), pytest.param(1_000, 10_000, marks=pytest.mark.system)])
def test_a_hostile_archive_writes_nothing_outside_its_target(first: int, count: int) -> None:
    """No row of another company or person, no role, permission, verification, second factor, hold or secret."""
    failed, written = attacks(first, count)

    assert failed == []
    assert written > count
