"""How the platform's rows show that their retention period is over (docs/retention.md).

The register of the notice states the length of each period; these rules name the columns at which it begins or ends.
A row that is still readable is delivered: a rule only marks it. The end is exclusive: a row whose period ends at the
start of the export is past it. A legal hold extends every period.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, FromClause, Table, and_, literal, not_, select

from exporters.reference import schema
from exporters.sql.identifiers import own
from portability.api import Subject, SubjectKind

_ACCOUNT = schema.users.alias("account")
_COMPANY = schema.organisations.alias("company")


@dataclass(frozen=True, slots=True)
class AccountClosed:
    """The period begins when the account is closed: a user's own account, or for a company's export the company's.

    `company` names the company in a row.
    """

    company: Column[Any] | None = None

    def past(self, subject: Subject, _moment: datetime, cutoff: datetime | None) -> ColumnElement[bool] | None:
        if not cutoff:
            return None
        if subject.kind is SubjectKind.USER:
            return _closed(_ACCOUNT, _ACCOUNT.c.id.in_(own(subject, "user_id")), cutoff)
        if subject.kind is SubjectKind.TENANT and self.company is not None:
            return _company_closed(subject, self.company, cutoff)
        return None


def account_closed(table: Table, tenant: str | None) -> AccountClosed:
    """Make the rule of a table whose rows belong to an account: the hook `account_closed` of maps."""
    return AccountClosed(None if tenant is None else table.c[tenant])


ACCOUNT = AccountClosed()
"""The rule for datasets that belong to one person."""


@dataclass(frozen=True, slots=True)
class CompanyClosed:
    """The period begins when the company has left the platform, for any subject; `company` names it in a row."""

    company: Column[Any]

    def past(self, subject: Subject, _moment: datetime, cutoff: datetime | None) -> ColumnElement[bool] | None:
        return None if cutoff is None else _company_closed(subject, self.company, cutoff)


def company_closed(table: Table, tenant: str | None) -> CompanyClosed:
    """Make the rule of a table whose rows belong to a company: the hook `company_closed` of maps."""
    if tenant is None:
        raise ValueError(f"{table.name}: no column names the tenant")
    return CompanyClosed(table.c[tenant])


def _company_closed(subject: Subject, company: Column[Any], cutoff: datetime) -> ColumnElement[bool]:
    # All rows of a contact or a company belong to one company: the database looks it up once, not for each row.
    named = company if subject.tenant is None else literal(subject.tenant)
    return _closed(_COMPANY, _COMPANY.c.id == named, cutoff)


def _closed(table: FromClause, which: ColumnElement[bool], cutoff: datetime) -> ColumnElement[bool]:
    """Return whether an account was closed at that time or earlier, and is not under legal hold."""
    over = and_(which, table.c.closed_at <= cutoff, not_(table.c.legal_hold))
    return select(1).select_from(table).where(over).exists()
