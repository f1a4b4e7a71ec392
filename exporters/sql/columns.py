"""Building blocks of the platform's tables: metadata, column types, and marks of columns that are not exported."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from decimal import Decimal
from functools import cache
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    Double,
    FromClause,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    func,
    type_coerce,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement, GenericFunction
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine, UserDefinedType

from portability.api import Withheld, WithheldKind
from portability.database.engine import UtcTime

OTHER_PERSON = WithheldKind.OTHER_PERSON
TRADE_SECRET = WithheldKind.TRADE_SECRET

NEVER = "never"
"""Key of `Column.info`: the reason why the column must not be exported, in any profile."""
WITHHELD = "withheld"
"""Key of `Column.info`: how an archive describes a column that must not be exported."""
INTERNAL = "internal"
"""Key of `Column.info`: the reason why the column says nothing about a subject and is not exported."""
VIEW = "view"
"""Key of `Table.info`: it is a view, whose keys the database does not make unique."""

metadata = MetaData()


class ExactNumeric(TypeDecorator[Decimal]):
    """A decimal with all its digits as written: numeric on PostgreSQL, text on SQLite, which only has floats."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:  # noqa: ANN401  # what the driver takes
        return format(value, "f") if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:  # noqa: ANN401  # as above
        return Decimal(value) if value is not None and dialect.name == "sqlite" else value


class SourceTime(UtcTime):
    """A time in a SQLite database that other software writes: text in any form of ISO 8601 in UTC.

    The order of such texts need not be that of the times: `moment_of` compares times, keys are compared as stored.
    """

    cache_ok = True

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:  # noqa: ANN401  # the stored text
        del dialect
        return value


class FixedText(Text):
    """A text of `char(n)`: PostgreSQL gives it with blanks at its end, and removes them where it makes another text."""

    cache_ok = True

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.characters = characters


class AlikeText(Text):
    """A text of PostgreSQL whose collation is not deterministic: the database takes different texts for equal."""

    cache_ok = True


class LooseText(Text):
    """A column of SQLite whose type it does not know: it stores a text that looks like a number as a number."""

    cache_ok = True


class Untyped(NullType):
    """A column of SQLite without a type, such as one that a view computes: a number there is not equal to its text."""

    cache_ok = True


class Single(Double[float]):
    """A number of single precision on MariaDB, which by itself writes only six of its up to nine digits."""

    cache_ok = True


class IntegerTruth(Boolean):
    """A truth value that the database stores as an integer: 0 is false, and every other number is true."""

    cache_ok = True


class BitTruth(Boolean):
    """A single bit on MariaDB, which by itself gives it as a byte."""

    cache_ok = True


class BitNumber(Integer):
    """Several bits on MariaDB, which by itself gives them as bytes."""

    cache_ok = True


class Shape(UserDefinedType[str]):
    """A point, line or area on MariaDB, which it converts to no other type."""

    cache_ok = True

    def get_col_spec(self, **_options: object) -> str:
        return "GEOMETRY"


class Vector(UserDefinedType[str]):
    """A list of numbers of single precision on MariaDB, which converts it to bytes."""

    cache_ok = True

    def __init__(self, dimensions: int = 0) -> None:
        self.dimensions = dimensions

    def get_col_spec(self, **_options: object) -> str:
        return f"VECTOR({self.dimensions})"


class as_number(FunctionElement[Any]):  # noqa: N801  # named like an SQL function
    """The whole number in a column of the types above: its six digits where they are enough, else its double."""

    type = NullType()
    name = "as_number"
    inherit_cache = True


@compiles(as_number, "mysql", "mariadb")
def _as_number_mysql(element: as_number, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    stored = compiler.process(element.clauses, **options)
    if not any(isinstance(clause.type, Single) for clause in element.clauses):
        return f"({stored} + 0)"
    number, written = f"({stored} + 0e0)", f"(CONCAT({stored}) + 0e0)"
    # Half of the distance between two numbers of single precision.
    half = f"POW(2, FLOOR(LOG2(ABS({number}))) - 24)"
    return f"CASE WHEN ABS({written} - {number}) < {half} THEN {written} ELSE {number} END"


def whole_number(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return what to select for a column: its number with all digits, if the database by itself gives less."""
    return as_number(column) if isinstance(column.type, Single | BitTruth | BitNumber) else column


def utf8_bytes(text: str) -> str:
    """Return the bytes of a text on MariaDB: in the encoding of parameters, whatever that of the column is."""
    return f"CAST(CONVERT({text} USING utf8mb4) AS BINARY)"


class folded(GenericFunction[str]):  # noqa: N801  # named like an SQL function
    """An e-mail address with ASCII letters in lower case; `portability.people.folding.fold` is the same in Python.

    Other letters are kept: in Unicode the Kelvin sign folds to k, and another person's mailbox would match.
    """

    type = Text()
    inherit_cache = True


@compiles(folded, "sqlite")
def _folded_sqlite(element: folded, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(folded, "postgresql")
def _folded_postgresql(element: folded, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    return f'lower({compiler.process(element.clauses, **options)} COLLATE "C")'


@compiles(folded, "mysql", "mariadb")
def _folded_mysql(element: folded, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    # Its lower() folds all letters, and its collations take even more for equal: bytes are replaced one by one.
    text = utf8_bytes(compiler.process(element.clauses, **options))
    for upper, lower in zip(ascii_uppercase, ascii_lowercase, strict=True):
        text = f"REPLACE({text}, '{upper}', '{lower}')"
    return text


BLOBS = (LargeBinary, mysql.TINYBLOB, mysql.MEDIUMBLOB, mysql.LONGBLOB)
"""Types of bytes; the library knows that of `BLOB` alone as one."""
_WORDS_OF_JSON = r"""'"((?:[^"\\]|\\.)*)"|([0-9]+)'"""
"""Texts and integers in JSON, as a pattern of PostgreSQL."""


class json_texts(FunctionElement[str]):  # noqa: N801  # named like an SQL function
    """A table with one row for each text in a JSON value, at any depth, in the column `value`."""

    type = Text()
    name = "json_texts"
    inherit_cache = True


@compiles(json_texts, "sqlite")
def _json_texts_sqlite(element: json_texts, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    value = compiler.process(element.clauses, **options)
    return f"json_tree(CASE WHEN json_valid({value}) THEN {value} END)"


@compiles(json_texts, "postgresql")
def _json_texts_postgresql(element: json_texts, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    (column,) = element.clauses
    value = compiler.process(column, **options)
    if isinstance(column.type.dialect_impl(compiler.dialect), postgresql.JSONB):
        found = f"jsonb_path_query({value}, 'strict $.**') AS found"
        return f"LATERAL (SELECT found #>> '{{}}' AS value FROM {found})"  # noqa: S608  # the compiler's own text
    # A text may be no JSON, and `json` may have letters that `jsonb` refuses. The form of escaped letters is not read.
    found = f"regexp_matches(CAST({value} AS TEXT), {_WORDS_OF_JSON}, 'g') AS found"
    return f"LATERAL (SELECT coalesce(found[1], found[2]) AS value FROM {found})"  # noqa: S608  # as above


def members_of(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column with a JSON value, or an array of PostgreSQL as such a value."""
    return type_coerce(func.to_jsonb(column), postgresql.JSONB()) if isinstance(column.type, ARRAY) else column


def table(name: str, *columns: Column[Any] | Index) -> Table:
    """Define a table of the platform. Without foreign keys, so that rows with missing parents can be exported.

    Its first column is the primary key `id`: an opaque text with a prefix, such as `usr_...`.
    """
    return Table(name, metadata, Column("id", Text, primary_key=True), *columns)


@cache
def alias(of: Table, *_place: Hashable) -> FromClause:
    """Return an alias of a table, made once for each place in queries: every alias has a copy of all columns.

    A query inside of this place needs another alias.
    """
    return of.alias()


def link(name: str, *, required: bool = True) -> Column[str]:
    """Define the id of a row in another table."""
    return Column(name, Text, nullable=not required)


def text(name: str, *, required: bool = False) -> Column[str]:
    """Define a text of any length; NULL and the empty text differ."""
    return Column(name, Text, nullable=not required)


def texts(*names: str) -> Iterator[Column[str]]:
    """Define texts of any length, all optional."""
    return map(text, names)


def moment(name: str, *, required: bool = False) -> Column[Any]:
    """Define a time, aware UTC, with microseconds."""
    return Column(name, UtcTime, nullable=not required)


def moments(*names: str) -> Iterator[Column[Any]]:
    """Define times, all optional."""
    return map(moment, names)


def created() -> Column[Any]:
    """Define the creation time of the row: never changed later, so it can limit an export."""
    return moment("created_at", required=True)


def never(name: str, reason: str, what: str | None = None, kind: WithheldKind = WithheldKind.SECRET) -> Column[str]:
    """Define a column that must not be exported (11 CCR 7024(d), GDPR Art. 32, PCI DSS 3.3).

    `what` describes its content to the subject "with sufficient particularity"; None: it is not about the subject.
    """
    described = {} if what is None else {WITHHELD: Withheld(name, what, reason, kind)}
    return Column(name, Text, info={NEVER: reason, **described})


def internal(name: str, reason: str) -> Column[str]:
    """Define a technical column of the platform."""
    return Column(name, Text, info={INTERNAL: reason})
