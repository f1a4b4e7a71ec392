"""Times as databases compare them: of columns whose type is a time, and of those whose times a map states."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Float,
    Integer,
    Numeric,
    Text,
    case,
    cast,
    func,
    literal,
    not_,
    null,
    or_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from exporters.maps import times
from exporters.sql.columns import SourceTime
from exporters.sql.identifiers import plain_type
from portability.database.engine import UtcTime

STATED = "times"
"""Key of `Column.info`: how the map says that the column's numbers or texts are times."""
_WHOLE = re.compile(r"-?[1-9][0-9]{0,16}")
_UNSET_COUNT = re.compile(r"-?[0-9]{1,20}")
"""What a column of numbers may contain for a time that is not set."""
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""A time before or after them has no form in RFC 3339."""
NO_DAY = "0000-00-00"
"""How the time of MariaDB begins that is not set."""
ZEROS = "0:.TZ+ -"
"""The letters of a time of zeros, and of the number 0."""
NO_WORDS = ("false", "f", "no", "n", "off", "null", "none")
"""Texts that set no time, as `exporters.http.truth` has them."""


@dataclass(frozen=True, slots=True)
class StatedTimes:
    """How a column contains times, although its type says that they are numbers or texts."""

    form: str
    """A format of `exporters.maps.times`."""
    zone: str
    unset: frozenset[str]
    """Values that are not a time, as texts."""

    @property
    def is_counted(self) -> bool:
        """Return whether the times are numbers, which a database compares."""
        return self.form in times.COUNTED

    @property
    def unset_counts(self) -> Sequence[int]:
        """Return the numbers that are not a time."""
        return sorted(int(value) for value in self.unset if _UNSET_COUNT.fullmatch(value))

    def count(self, moment: datetime) -> int:
        """Return a time as such a number, without the fraction of one."""
        return int(times.write(moment, self.form, self.zone))

    def read(self, value: object) -> str | bytes | None:
        """Return a time in the form of PostgreSQL in UTC, and bytes for what is not one: no converter accepts them."""
        if value in self.unset:
            return None
        try:
            if self.is_counted and isinstance(value, str) and _WHOLE.fullmatch(value):
                return _written(times.counted(int(value), self.form))  # most counts need no decimals
            return None if self._is_unset(value) else _written(times.parse(value, self.form, self.zone))
        except (ValueError, OverflowError):
            return b""

    def read_day(self, value: object) -> str | bytes | None:
        """Return the day of a time, as `read` returns a time."""
        if self._is_unset(value):
            return None
        try:
            return times.day(value, self.form, self.zone).isoformat()
        except ValueError:
            return b""

    def _is_unset(self, value: object) -> bool:
        return value in (None, *self.unset) or times.is_unset(value, self.form, self.unset)


def _written(moment: datetime) -> str:
    return str(moment).removesuffix(":00")


class StatedType(TypeDecorator[Any]):
    """The type of a field whose column contains times that its map states."""

    cache_ok = True

    def __init__(self, stated: StatedTimes) -> None:
        super().__init__()
        self.stated = stated

    @abstractmethod
    def read(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return the values of a column in the form of the database's own times or days."""


class StatedTime(StatedType):
    """For the times."""

    impl = DateTime
    cache_ok = True

    def read(self, values: Sequence[Any]) -> Sequence[Any]:
        return list(map(self.stated.read, values))


class StatedDay(StatedType):
    """For their days."""

    impl = Date
    cache_ok = True

    def read(self, values: Sequence[Any]) -> Sequence[Any]:
        return list(map(self.stated.read_day, values))


def stated_times(column: ColumnElement[Any]) -> StatedTimes | None:
    """Return how a column, or the column behind an alias, contains times by its map; None: its type says it."""
    bases = [one for one in column.base_columns if isinstance(one, Column)]
    return next((one.info[STATED] for one in bases if STATED in one.info), None)


def moment_of(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return what to compare with a time: the column, or its time if the source writes times in another form.

    Numbers that are not a time, or none that RFC 3339 can write, are NULL.
    """
    if not (stated := stated_times(column)):
        return utc_text(column) if isinstance(column.type, SourceTime) else column
    first, last = (literal(stated.count(moment), BigInteger()) for moment in (_FIRST, _LAST))
    is_time = column.between(first, last) & not_(is_unset(column))
    size = times.COUNTED[stated.form]
    is_whole = isinstance(column.type, Integer)
    counted = cast(column, BigInteger) * size if is_whole else cast(func.round(column * size), BigInteger)
    return case((is_time, time_since_1970(counted)), else_=null())


def is_unset(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that a column is NULL, or has what the database or its map says is not a time."""
    if not (stated := stated_times(column)):
        is_time = isinstance(column.type, Date | DateTime | UtcTime)
        return not_(has_time(column)) if is_time else column.is_(None)
    if isinstance(plain_type(column.type), Integer | Numeric | Float):
        among = column.in_([literal(value, _type_of(value)) for value in stated.unset_counts])
    else:
        among = cast(column, Text).in_(sorted(stated.unset))
    return or_(column.is_(None), among)


class has_time(FunctionElement[bool]):  # noqa: N801  # named like an SQL function
    """Whether a time is set: not NULL, and not what the database also stores for a time that is not set."""

    type = Boolean()
    name = "has_time"
    inherit_cache = True


@compiles(has_time)
def _has_time(element: has_time, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    return f"({compiler.process(element.clauses, **options)} IS NOT NULL)"


@compiles(has_time, "mysql", "mariadb")
def _has_time_mysql(element: has_time, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    # A column without NULL has a day of zeros.
    day = f"LEFT(CAST({compiler.process(element.clauses, **options)} AS CHAR), 10)"
    return f"(COALESCE({day}, '{NO_DAY}') <> '{NO_DAY}')"


@compiles(has_time, "sqlite")
def _has_time_sqlite(element: has_time, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    # Times are texts here, so programs write any text for a time that is not set.
    stored = f"lower(trim(coalesce({compiler.process(element.clauses, **options)}, ''), '{ZEROS}'))"
    return f"({stored} NOT IN ('', {', '.join(map(repr, NO_WORDS))}))"


class never_null_has_time(has_time):  # noqa: N801  # as above
    """The same for a column that is never NULL. On PostgreSQL it always has a time, so an index serves its period."""

    name = "never_null_has_time"
    inherit_cache = True


@compiles(never_null_has_time, "postgresql")
def _has_time_always(*_compiled: object, **_options: object) -> str:
    return "(1 = 1)"


def _type_of(count: int) -> TypeEngine[Any]:
    return BigInteger() if -(2**63) <= count < 2**63 else Numeric()


class utc_text(FunctionElement[Any]):  # noqa: N801  # named like an SQL function
    """A time of a SQLite database in the form of UtcTime, to the millisecond; other texts stay as they are."""

    type = UtcTime()
    name = "utc_text"
    inherit_cache = True


@compiles(utc_text, "sqlite")
def _utc_text_sqlite(element: utc_text, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    stored = compiler.process(element.clauses, **options)
    return f"coalesce(strftime('%Y-%m-%d %H:%M:%f', {stored}) || '000', {stored})"


class time_since_1970(FunctionElement[Any]):  # noqa: N801  # named like an SQL function
    """A time, from the microseconds since the begin of 1970."""

    type = UtcTime()
    name = "time_since_1970"
    inherit_cache = True


@compiles(time_since_1970, "postgresql")
def _since_postgresql(element: time_since_1970, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    count = compiler.process(element.clauses, **options)
    return f"(TIMESTAMPTZ '1970-01-01 00:00:00+00' + ({count}) * INTERVAL '1 microsecond')"


@compiles(time_since_1970, "mysql", "mariadb")
def _since_mysql(element: time_since_1970, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    count = compiler.process(element.clauses, **options)
    return f"TIMESTAMPADD(MICROSECOND, {count}, TIMESTAMP'1970-01-01 00:00:00')"


@compiles(time_since_1970, "sqlite")
def _since_sqlite(element: time_since_1970, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    count = f"({compiler.process(element.clauses, **options)})"
    fraction = f"(({count} % 1000000 + 1000000) % 1000000)"
    seconds = f"strftime('%Y-%m-%d %H:%M:%S', ({count} - {fraction}) / 1000000, 'unixepoch')"
    return f"({seconds} || printf('.%06d', {fraction}))"
