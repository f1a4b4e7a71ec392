"""How long the platform keeps what, and which rows are past that (docs/retention.md).

The end itself is the first moment that is too late: a row is kept while its end lies in the future.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, FromClause, and_, not_, or_, select

from exporters import schema, walls
from portability.api import Subject, SubjectKind

AFTER_CLOSURE = timedelta(days=90)
"""How long account data is kept after an account was closed (privacy policy, "Data Retention")."""


@dataclass(frozen=True, slots=True)
class Until:
    """Each row has its own end, by the plan of its tenant; without one no end is set. A hold keeps it beyond."""

    until: Column[Any]
    hold: Column[Any]

    def kept(self, _subject: Subject, moment: datetime) -> ColumnElement[bool]:
        return or_(self.until.is_(None), self.until > moment, self.hold)


@dataclass(frozen=True, slots=True)
class AccountData:
    """Kept while the account is open and for 90 days more: a person's own, or for a company's rows the company's.

    `column` is what names the company in a row.
    """

    company: Column[Any] | None = None

    def kept(self, subject: Subject, moment: datetime) -> ColumnElement[bool] | None:
        if subject.kind is SubjectKind.USER:
            users = schema.users.alias("account")
            return not_(_closed(users, users.c.id.in_(walls.own(subject, "user_id")), moment))
        if subject.kind is SubjectKind.TENANT and self.company is not None:
            organisations = schema.organisations.alias("company")
            return not_(_closed(organisations, organisations.c.id == self.company, moment))
        return None


ACCOUNT = AccountData()
"""Of datasets that a person has alone."""


@dataclass(frozen=True, slots=True)
class CompanyItself:
    """A company's own row: kept while it is a customer and for 90 days more, whoever asks."""

    def kept(self, _subject: Subject, moment: datetime) -> ColumnElement[bool]:
        columns = schema.organisations.c
        return or_(columns.closed_at.is_(None), columns.closed_at > moment - AFTER_CLOSURE, columns.legal_hold)


def _closed(table: FromClause, which: ColumnElement[bool], moment: datetime) -> ColumnElement[bool]:
    """Whether an account was closed so long ago, and is not held."""
    over = and_(which, table.c.closed_at <= moment - AFTER_CLOSURE, not_(table.c.legal_hold))
    return select(1).select_from(table).where(over).exists()
