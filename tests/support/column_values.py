"""Types of columns by database, and different values of each, of another order than their numbers."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence

COUNT = 150
"""More than the first page of a source has, so that keys are compared."""


def random_bytes(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def rank(number: int) -> int:
    """A number of another order than its place, and no other has it."""
    return int.from_bytes(random_bytes(number)[:4], "big") * 1000 + number


def word(number: int) -> str:
    return f"{'kK'[number % 2]}\u00e4{rank(number)} {number}"


LITERALS: Mapping[str, Callable[[int], str]] = {
    "integer": lambda n: str((n * 7) % COUNT - 75),
    "positive": lambda n: str((n * 7) % COUNT),
    "decimal": lambda n: f"{rank(n) - 10**12}.{n:03}",
    "double": lambda n: repr(rank(n) / 977),
    "uuid": lambda n: f"'{uuid.UUID(bytes=random_bytes(n)[:16], version=4)}'",
    "text": lambda n: f"'{word(n)}'",
    "time": lambda n: f"'2026-01-{1 + n % 28:02} 10:{n % 60:02}:{n * 7 % 60:02}.{rank(n) % 10**6:06}'",
    "date": lambda n: f"'{1901 + n * 7 % COUNT}-02-03'",
    "clock": lambda n: f"'{n % 24:02}:{n % 60:02}:{n * 7 % 60:02}.{n:06}'",
    "address": lambda n: f"'10.0.{n % 7}.{n}'",
    "interval": lambda n: f"'{rank(n) % 10**6} seconds {n} days'",
    "bits": lambda n: f"b'{n:08b}'",
    "bytea": lambda n: rf"'\x{random_bytes(n)[:8].hex()}'",
    "bytes": lambda n: f"x'{random_bytes(n)[:8].hex()}'",
    "year": lambda n: str(1901 + n),
    "place": lambda n: f"'{n * 7 % COUNT:X}/{n:X}'",
    "label": lambda n: f"'{'Ab'[n % 2]}{n * 7 % COUNT}.n{n}'",
    "listed": lambda n: f"'{hashlib.sha1(str(n).encode(), usedforsecurity=False).hexdigest()[:8]}'",
}
WORDS = ", ".join(map(LITERALS["listed"], range(COUNT)))
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "postgresql": {
        "smallint": "integer",
        "numeric(20, 3)": "decimal",
        "double precision": "double",
        "uuid": "uuid",
        "text": "text",
        'text collate "en-x-icu"': "text",
        "char(40)": "text",
        "name": "text",
        "timestamptz": "time",
        "timestamp": "time",
        "date": "date",
        "time": "clock",
        "interval": "interval",
        "inet": "address",
        "bit(8)": "bits",
        "bytea": "bytea",
        "listed": "listed",
        "numbered": "integer",
        "oid": "positive",
        "pg_lsn": "place",
        "ltree": "label",
    },
    "mysql": {
        "smallint": "integer",
        "decimal(20,3)": "decimal",
        "double": "double",
        "bigint unsigned": "positive",
        "varchar(60)": "text",
        "varchar(60) collate utf8mb4_bin": "text",
        "varchar(60) character set latin1": "text",
        "char(40)": "text",
        "datetime(6)": "time",
        "timestamp(6) null": "time",
        "date": "date",
        "time(6)": "clock",
        "bit(8)": "bits",
        "inet6": "address",
        "uuid": "uuid",
        "binary(8)": "bytes",
        "varbinary(8)": "bytes",
    },
    "sqlite": {
        "smallint": "integer",
        "numeric": "decimal",
        "decimal(20,3)": "decimal",
        "real": "double",
        "float": "double",
        "text": "text",
        "text collate nocase": "text",
        "": "text",
        "varchar(40)": "text",
        "date": "date",
        "datetime": "time",
        "timestamp": "time",
        "time": "clock",
        "blob": "bytes",
    },
}
"""Types, and the name of their values."""
TYPES_OF: Mapping[str, Sequence[str]] = {
    "postgresql": (
        f"create type listed as enum ({WORDS})",
        "create extension if not exists ltree",
        "create domain numbered as smallint check (value < 1000)",
    )
}
"""Statements that make the types of a database that it does not have from the start."""
