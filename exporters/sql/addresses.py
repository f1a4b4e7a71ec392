"""Whose an address was at a time, by the people of a tenant who have it."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Owner:
    """A person's record that has an address."""

    key: str
    since: datetime | None
    """When the person proved the address; None: never."""
    until: datetime | None
    """When the record ended; None: it has not."""
    name: str | None = field(default=None, repr=False)

    def had_it(self, moment: datetime) -> bool:
        """Return whether the source shows the address as theirs at that moment."""
        return self.since is not None and self.since <= moment and self.may_have_it(moment)

    def may_have_it(self, moment: datetime) -> bool:
        """Return whether the record had not ended at that moment: it counts as a second person from the beginning."""
        return self.until is None or moment < self.until


def is_of_one(owners: Iterable[Owner], own: Collection[str], moment: datetime | None) -> bool:
    """Return whether the address was the subject's at that moment, and no other person's."""
    if moment is None:
        return False
    everyone = list(owners)
    is_own = any(owner.key in own and owner.had_it(moment) for owner in everyone)
    return is_own and not any(owner.key not in own and owner.may_have_it(moment) for owner in everyone)


def same_name(first: str | None, second: str | None) -> bool | None:
    """Return whether two names are the same; None: they may be, because one is missing or has more words."""
    words, others = _words(first), _words(second)
    if words and words == others:
        return True
    return None if words <= others or others <= words else False


def had_it_together(first: Owner, second: Owner) -> bool:
    """Return whether two records had proved the same address at the same time."""
    if first.since is None or second.since is None:
        return False
    moment = max(first.since, second.since)
    return first.had_it(moment) and second.had_it(moment)


def _words(name: str | None) -> frozenset[str]:
    return frozenset(unicodedata.normalize("NFKC", name or "").casefold().split())
