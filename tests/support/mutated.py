"""Made-up rows made hostile: any value that a column can hold, in every column that an archive carries."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sqlalchemy import BigInteger, Column, Engine, Table, bindparam, null, select

from demo import hostile
from exporters.sql.values import field_type
from portability.api import FieldType

SHARE = 0.5
KEPT = frozenset({"id", "created_at", "retained_until", "legal_hold", "position"})
"""Which rows are whose, and exported at all, stays."""
INDEXED_CHARACTERS = 200
LONG = ("text", "body", "description", "message")


def mutate(engine: Engine, table: Table, random: Random) -> int:
    """Replace about half of the values of every row; returns the number of rows."""
    columns = [column for column in table.columns if not column.info and _is_free(column)]
    with engine.begin() as connection:
        identifiers = connection.scalars(select(table.c.id)).all()
        for identifier in identifiers:
            chosen = {c.name: value(c, random) for c in columns if random.random() < SHARE}
            if chosen:
                update = table.update().where(table.c.id == bindparam("row")).values(chosen)
                connection.execute(update, {"row": identifier})
    return len(identifiers)


def value(column: Column[Any], random: Random) -> Any:
    """Any value of the column, NULL where it may be."""
    kind = field_type(column.type)
    if column.nullable and random.random() < 0.1:
        return null() if kind is FieldType.OBJECT else None
    if kind is FieldType.STRING and column.name in LONG and random.random() < 0.05:
        return hostile.huge(300_000)
    if kind is FieldType.INTEGER and isinstance(column.type, BigInteger):
        return random.choice([0, 1, -1, 2**53 - 1, 2**53 + 1, 2**63 - 1, -(2**63)])
    return MAKERS[kind](random)


def _is_free(column: Column[Any]) -> bool:
    return column.name not in KEPT and not column.name.endswith("_id")


def _text(random: Random) -> str:
    texts = [text.replace("\0", "") for text in (*hostile.TEXTS, *hostile.NAMES, "", " ", "\u2028\u0085")]
    if random.random() < 0.7:
        return random.choice(texts)[:INDEXED_CHARACTERS]
    letters = (random.choice([random.randrange(1, 0x80), random.randrange(0xE000, 0x110000)]) for _ in range(20))
    return "".join(map(chr, letters))


def _number(random: Random) -> float:
    number = math.nan
    while not math.isfinite(number):
        number = float(struct.unpack("d", random.randbytes(8))[0])
    return random.choice([number, 0.1, 1e22, 5e-324, 1.7976931348623157e308, -1.0, float(2**53)])


def _decimal(random: Random) -> Decimal:
    digits = random.randrange(10 ** random.randrange(1, 40))
    sign = random.choice(["", "-"]) if digits else ""
    return Decimal(f"{sign}{digits}e-{random.randrange(20)}")


def _moment(random: Random) -> datetime:
    begin = datetime(1, 1, 2, tzinfo=UTC)
    return begin + timedelta(microseconds=random.randrange(3_652_000 * 86_400 * 10**6))


def _object(random: Random, depth: int = 0) -> Any:
    if depth < 3 and random.random() < 0.6:
        names = [_text(random) for _ in range(random.randrange(4))]
        inner = [_object(random, depth + 1) for _ in names]
        return dict(zip(names, inner, strict=True)) if random.random() < 0.5 else inner
    plain: list[Any] = [_text(random), True, False, 0, 1, 1.0, -0.5, 0.1, 5e-324, 2**53 - 1, -(2**53) + 1, "", [], {}]
    # JSON's own null at the top would be another value than NULL, and JSON Lines tell no difference.
    return random.choice([*plain, None] if depth else plain)


MAKERS: Mapping[FieldType, Callable[[Random], Any]] = {
    FieldType.STRING: _text,
    FieldType.INTEGER: lambda random: random.choice([0, 1, -1, 2**31 - 1, -(2**31), random.randrange(10**6)]),
    FieldType.NUMBER: _number,
    FieldType.DECIMAL: _decimal,
    FieldType.BOOLEAN: lambda random: random.random() < 0.5,
    FieldType.DATETIME: _moment,
    FieldType.DATE: lambda random: date.fromordinal(random.randrange(1, date.max.toordinal() + 1)),
    FieldType.OBJECT: _object,
}
