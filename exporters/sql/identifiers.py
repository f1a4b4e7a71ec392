"""A subject's identities, compared with columns: by the values that a column can contain, and by their bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Enum,
    Integer,
    LargeBinary,
    String,
    Text,
    Uuid,
    and_,
    cast,
    false,
)
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType

from portability.api import Subject, SubjectKind

REQUESTED = frozenset({"user_id", "tenant_id"})
"""Kinds of identities that a request names."""


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
    kind = column.type
    if isinstance(kind, Integer):
        return [int(value) for value in values if value.lstrip("-").isascii() and str(_integer(value)) == value]
    if isinstance(kind, Enum):
        return [value for value in values if value in kind.enums]
    if isinstance(kind, Uuid):
        return [value for value in values if _uuid(value) == value]
    return values


def is_among(column: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition that a column has one of the values; texts are compared by their bytes."""
    if isinstance(column.type, CITEXT):
        column = cast(column, Text)  # it ignores case
    same = column == values[0] if len(values) == 1 else column.in_(values)
    if not all(isinstance(value, str) for value in values) or isinstance(column.type, Uuid):
        return same
    return same_bytes(same, cast(column, LargeBinary).in_([value.encode() for value in values]))


def names_any(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that a column has one of the identifiers, in the form of its type."""
    found = fitting(column, values)
    return is_among(column, found) if found else false()


def written(column: ColumnElement[Any]) -> ColumnElement[str]:
    """Return the identifiers of a column as texts."""
    return column if isinstance(column.type, String) else cast(column, Text)


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
    return str(compiler.process(compared, **options))


@compiles(same_bytes, "mysql", "mariadb")
def _same_bytes_mysql(element: same_bytes, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    # The first comparison can use an index.
    return f"({compiler.process(and_(*element.clauses), **options)})"


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _uuid(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None
