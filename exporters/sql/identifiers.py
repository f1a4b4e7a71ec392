"""A subject's identities, compared with columns: by the values that a column can contain, and by their bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BINARY,
    JSON,
    VARBINARY,
    BigInteger,
    Boolean,
    BooleanClauseList,
    ColumnElement,
    Date,
    DateTime,
    Dialect,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Text,
    Time,
    Uuid,
    and_,
    bindparam,
    cast,
    false,
    type_coerce,
)
from sqlalchemy.dialects.mysql import YEAR
from sqlalchemy.dialects.postgresql import (
    CITEXT,
    DOMAIN,
    HSTORE,
    INET,
    INTERVAL,
    MONEY,
    OID,
    REGCLASS,
    TSQUERY,
    TSVECTOR,
)
from sqlalchemy.dialects.postgresql.ranges import AbstractRange
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeDecorator, TypeEngine

from exporters.sql.columns import AlikeText, BitNumber, FixedText, LooseText, Shape, Untyped, Vector, utf8_bytes
from portability.api import Subject, SubjectKind

REQUESTED = frozenset({"user_id", "tenant_id"})
"""Kinds of identities that a request names."""


_NO_IDS = (
    ARRAY,
    AbstractRange,
    BINARY,
    Boolean,
    Date,
    DateTime,
    HSTORE,
    INET,
    INTERVAL,
    Interval,
    JSON,
    LargeBinary,
    MONEY,
    OID,
    REGCLASS,
    Shape,
    TSQUERY,
    TSVECTOR,
    Time,
    VARBINARY,
    Vector,
    YEAR,
)


def can_be_id(kind: TypeEngine[Any]) -> bool:
    """Return whether a column of this type can be compared with an id, which is a text."""
    return not isinstance(plain_type(kind), _NO_IDS)


def own(subject: Subject, kind: str, *, verified: bool = True) -> tuple[str, ...]:
    """Return identifiers of the subject that are valid on the whole platform, not only for one tenant."""
    found = (i for i in subject.identities if i.verified is verified and i.kind == kind and not i.tenant)
    return tuple(dict.fromkeys(i.value for i in found))


def at_tenants(subject: Subject, kinds: Collection[str], *, verified: bool = True) -> Mapping[str, tuple[str, ...]]:
    """Return identifiers of the subject by the tenant where they are valid; a contact has those of its own tenant."""
    found: dict[str, dict[str, None]] = {}
    for i in subject.identities:
        is_own = subject.kind is not SubjectKind.CONTACT or i.tenant == subject.tenant
        if i.tenant and i.kind in kinds and i.verified is verified and is_own:
            found.setdefault(i.tenant, {})[i.value] = None
    return {tenant: tuple(values) for tenant, values in found.items()}


def fitting(column: ColumnElement[Any], values: Sequence[str]) -> Sequence[Any]:
    """Return the values that the column can contain, as its type has them.

    A number or UUID that is written in another way is another identity: `007` is not 7.
    """
    kind = plain_type(column.type)
    if isinstance(kind, Integer | Numeric | Float):
        numbers = [number for value in values if (number := _integer(value)) is not None]
        if isinstance(kind, Numeric):
            return [Decimal(number) for number in numbers]
        if isinstance(kind, Float):
            return [float(number) for number in numbers if abs(number) <= 1 << 53]
        bits = 64 if getattr(kind, "unsigned", False) or isinstance(kind, BitNumber) else 63
        return [number for number in numbers if -(1 << 63) <= number < 1 << bits]
    if isinstance(kind, Enum):
        return [value for value in values if value in kind.enums]
    if isinstance(kind, Uuid):
        return [value for value in values if _uuid(value) == value]
    return values


def is_among(column: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition that a column has one of the values; texts are compared by their bytes.

    However many there are, the statement is the same, so that it is compiled once.
    """
    kind = plain_type(column.type)
    if isinstance(column.type, DOMAIN):
        column = type_coerce(column, kind)  # a parameter of the domain would have to fulfil its conditions
    if isinstance(kind, CITEXT):
        column = cast(column, Text)  # it ignores case
    # As 64 bits: the database refuses a parameter of a smaller column's type that is larger.
    bound = bindparam(None, values, type_=BigInteger(), expanding=True) if isinstance(kind, Integer) else values
    same: ColumnElement[bool] = column.in_([*values, *_numbers(values)] if isinstance(kind, Untyped) else bound)
    if isinstance(kind, AlikeText):
        same = and_(same, written(column).in_(values))  # an index serves the first
    if isinstance(kind, FixedText):
        same = and_(same, cast(column, Text).in_(values))  # the first ignores blanks at the end, and can use an index
    if not all(isinstance(value, str) for value in values) or isinstance(kind, Uuid):
        return same
    return same_bytes(same, as_bytes(column).in_(values))


def names_any(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that a column has one of the identifiers, in the form of its type."""
    found = fitting(column, values)
    return is_among(column, found) if found else false()


def written(column: ColumnElement[Any]) -> ColumnElement[str]:
    """Return the identifiers or addresses of a column as texts, without the blanks of `char(n)`."""
    if isinstance(column.type, AlikeText):
        return column.collate("C")
    if isinstance(plain_type(column.type), Integer | Numeric):
        return id_of_number(column)
    is_text = isinstance(column.type, String) and not isinstance(column.type, FixedText | LooseText)
    return column if is_text else cast(column, Text)


class id_of_number(FunctionElement[str]):  # noqa: N801  # named like an SQL function
    """A number as the text that its id is: MariaDB writes a column of `ZEROFILL` with zeros, and of `BIT` as bytes."""

    type = Text()
    name = "id_of_number"
    inherit_cache = True


@compiles(id_of_number)
def _id_of_number(element: id_of_number, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    return f"CAST({compiler.process(element.clauses, **options)} AS TEXT)"


@compiles(id_of_number, "mysql", "mariadb")
def _id_of_number_mysql(element: id_of_number, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    return f"CAST({compiler.process(element.clauses, **options)} + 0 AS CHAR)"


class ComparedBytes(TypeDecorator[str]):
    """A text as a parameter beside `as_bytes`: its bytes in UTF-8, on SQLite the text itself."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else LargeBinary())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ANN401  # what the driver takes
        return value.encode() if isinstance(value, str) and dialect.name != "sqlite" else value


class as_bytes(FunctionElement[str]):  # noqa: N801  # named like an SQL function
    """The bytes of a text, where `same_bytes` compares them: in UTF-8, on SQLite in the encoding of the database.

    On PostgreSQL it is the text, whose usual collations take no other text for equal.
    """

    type = ComparedBytes()
    name = "as_bytes"
    inherit_cache = True


@compiles(as_bytes)
def _as_bytes(element: as_bytes, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    return str(compiler.process(element.clauses, **options))


@compiles(as_bytes, "sqlite")
def _as_bytes_sqlite(element: as_bytes, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    # As a BLOB a text of a database in UTF-16 would have other bytes than the parameter.
    return f"CAST({compiler.process(element.clauses, **options)} AS TEXT) COLLATE BINARY"


@compiles(as_bytes, "mysql", "mariadb")
def _as_bytes_mysql(element: as_bytes, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    return utf8_bytes(compiler.process(element.clauses, **options))


class same_bytes(FunctionElement[bool]):  # noqa: N801  # named like an SQL function
    """A comparison, and the same of bytes, for databases whose usual collations take other texts for equal."""

    type = Boolean()
    name = "same_bytes"
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> same_bytes:
        """Return itself: the library would compare it with 1 where booleans are numbers, and no index could serve."""
        del against
        return self


@compiles(same_bytes)
def _same_bytes(element: same_bytes, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    compared, _ = element.clauses
    condition = compiler.process(compared, **options)
    return f"({condition})" if isinstance(compared, BooleanClauseList) else str(condition)  # it may be negated


@compiles(same_bytes, "sqlite", "mysql", "mariadb")
def _same_bytes_too(element: same_bytes, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    # The first comparison can use an index.
    return f"({compiler.process(and_(*element.clauses), **options)})"


def plain_type(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type of the values: that of a domain, or that a type of the exporter stands for."""
    if isinstance(kind, TypeDecorator):
        return plain_type(kind.impl_instance)
    return plain_type(kind.data_type) if isinstance(kind, DOMAIN) else kind


def _numbers(texts: Sequence[str]) -> Sequence[int]:
    """Return the texts that are integers of SQLite as such: where a column has no type they equal no text."""
    numbers = map(_integer, texts)
    return [number for number in numbers if isinstance(number, int) and -(1 << 63) <= number < 1 << 63]


def _integer(text: str) -> int | None:
    """Return an integer that is written in the notation of a database; None for another text."""
    try:
        number = int(text)
    except ValueError:
        return None
    return number if str(number) == text else None


def _uuid(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None
