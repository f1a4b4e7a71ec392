"""How the rows of a table show that their retention period is over (docs/retention.md).

The register of the notice states the length of each period; these rules name the columns at which it begins or ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Date, and_, true

from exporters.sql.marks import is_set
from exporters.sql.moments import moment_of
from portability.api import Subject


@dataclass(frozen=True, slots=True)
class Until:
    """Each row states its own end, by the plan of its tenant; without one no end is set."""

    until: Column[Any]
    hold: Column[Any] | None = None
    where: Sequence[ColumnElement[bool]] = ()
    """Conditions for the rows that have a period."""

    def past(self, _subject: Subject, moment: datetime, _cutoff: datetime | None) -> ColumnElement[bool]:
        return _without_hold(and_(*self.where, moment_of(self.until) <= moment), self.hold)


@dataclass(frozen=True, slots=True)
class Since:
    """The period begins with a time or date in the row, and has not begun while that is NULL."""

    begin: Column[Any]
    hold: Column[Any] | None = None
    where: Sequence[ColumnElement[bool]] = ()
    """Conditions for the rows that have a period."""

    def past(self, _subject: Subject, _moment: datetime, cutoff: datetime | None) -> ColumnElement[bool] | None:
        if not cutoff:
            return None
        past = moment_of(self.begin) <= (cutoff.date() if isinstance(self.begin.type, Date) else cutoff)
        return _without_hold(and_(*self.where, past), self.hold)


def _without_hold(past: ColumnElement[bool], hold: Column[Any] | None) -> ColumnElement[bool]:
    if hold is not None:
        return and_(past, is_set(hold).is_not(true()))
    return past
