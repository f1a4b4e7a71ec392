"""What the platform's tables are made of: the metadata, column types, and the marks of columns that stay inside."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import Column, Dialect, Index, MetaData, Numeric, Table, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine

from portability.api import Withheld, WithheldKind
from portability.db import UtcTime

TRADE_SECRET = WithheldKind.TRADE_SECRET

NEVER = "never"
"""Key of `Column.info`: the reason why the column must not leave, in any profile."""
WITHHELD = "withheld"
"""Key of `Column.info`: how an archive describes a column that must not leave."""
INTERNAL = "internal"
"""Key of `Column.info`: the reason why the column says nothing about a subject and is not exported."""

metadata = MetaData()


class ExactNumeric(TypeDecorator[Decimal]):
    """A decimal with exactly the digits that were written: numeric on PostgreSQL, text on SQLite, which has floats."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:  # noqa: ANN401  # what the driver takes
        return format(value, "f") if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:  # noqa: ANN401  # as above
        return Decimal(value) if value is not None and dialect.name == "sqlite" else value


class folded(GenericFunction[str]):  # noqa: N801  # reads as the SQL function that it is
    """An e-mail address without regard to ASCII case; `fold` is the same in Python.

    Case beyond ASCII is kept: by Unicode's rules the Kelvin sign is a k, and another mailbox would be the subject's.
    """

    type = Text()
    inherit_cache = True


@compiles(folded, "sqlite")
def _folded_sqlite(element: folded, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(folded, "postgresql")
def _folded_postgresql(element: folded, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    return f'lower({compiler.process(element.clauses, **options)} COLLATE "C")'


def fold(address: str) -> str:
    """An e-mail address as `folded` gives it."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in address)


def table(name: str, *columns: Column[Any] | Index) -> Table:
    """A table of the platform. No foreign keys: an export must survive rows whose parents are gone."""
    return Table(name, metadata, *columns)


def identifier() -> Column[str]:
    """The primary key: an opaque text with a prefix, such as `usr_...`."""
    return Column("id", Text, primary_key=True)


def link(name: str, *, required: bool = True) -> Column[str]:
    """The id of a row in another table."""
    return Column(name, Text, nullable=not required)


def text(name: str, *, required: bool = False) -> Column[str]:
    """A text of any length; NULL and the empty text differ."""
    return Column(name, Text, nullable=not required)


def moment(name: str, *, required: bool = False) -> Column[Any]:
    """A time, aware UTC, to the microsecond."""
    return Column(name, UtcTime, nullable=not required)


def created() -> Column[Any]:
    """When the row was made: never changed later, so it can bound an export."""
    return moment("created_at", required=True)


def never(name: str, reason: str, what: str | None = None, kind: WithheldKind = WithheldKind.SECRET) -> Column[str]:
    """A column that must not leave (11 CCR 7024(d), GDPR Art. 32, PCI DSS 3.3).

    `what` describes its content to the subject "with sufficient particularity"; None: it says nothing of the subject.
    """
    described = {} if what is None else {WITHHELD: Withheld(what, reason, kind)}
    return Column(name, Text, info={NEVER: reason, **described})


def internal(name: str, reason: str) -> Column[str]:
    """A column of the platform's own housekeeping."""
    return Column(name, Text, info={INTERNAL: reason})
