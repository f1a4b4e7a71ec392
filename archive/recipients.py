"""Recipients: to whom data was disclosed, by the names in delivered records (GDPR Art. 15(1)(c), CJEU C-154/21).

They are counted while volumes are written. Memory is bounded: NAMES_MAX names of a dataset, LENGTH_MAX characters each.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from portability.api import JSON

NAMES_MAX = 1_000
"""Number of names that are kept of a dataset; records that name others are counted."""
LENGTH_MAX = 300
"""Characters of a name; the rest of a longer name is replaced by an ellipsis."""
DAY = len("2026-11-24")


class Disclosed(NamedTuple):
    """What the records of a dataset say about disclosures to one recipient."""

    records: int = 0
    """Number of records. A record that is delivered again is not counted again."""
    first: str | None = None
    """The first day in UTC, as `2026-11-24`; None: the records do not say when."""
    last: str | None = None

    def plus(self, other: Disclosed) -> Disclosed:
        """Return what both say together."""
        days = sorted(day for day in (self.first, self.last, other.first, other.last) if day is not None)
        return Disclosed(self.records + other.records, days[0] if days else None, days[-1] if days else None)


@dataclass(slots=True)
class RecipientTally:
    """The recipients that some records of a dataset name."""

    names: dict[str, Disclosed] = field(default_factory=dict)
    more: int = 0
    """Number of records that name a recipient for which there was no room."""

    @classmethod
    def of(cls, values: Iterable[tuple[JSON, JSON]], *, known: bool = False) -> Self:
        """Count the recipients of records, given as pairs of recipient and time.

        `known` records may have been counted before: their names and days are added, and their number is not.
        """
        made = cls()
        for recipient, at in values:
            if isinstance(recipient, str) and (name := _readable(recipient)):
                day = at[:DAY] if isinstance(at, str) else None
                made._add(name, Disclosed(0 if known else 1, day, day))
        return made

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Self:
        """Return the tally that a ledger line stores; None: it names no recipient."""
        if document:
            names = {name: Disclosed(*values) for name, values in document["names"].items()}
            return cls(names, document["more"])
        return cls()

    def to_json(self) -> dict[str, JSON] | None:
        """Return the tally as a ledger line stores it; None if no record names a recipient."""
        if not self.names:
            return None
        return {"names": {name: [*disclosed] for name, disclosed in sorted(self.names.items())}, "more": self.more}

    def add(self, other: RecipientTally) -> None:
        """Add what other records name."""
        for name, disclosed in other.names.items():
            self._add(name, disclosed)
        self.more += other.more

    def listed(self) -> Sequence[Mapping[str, JSON]]:
        """Return the recipients in the order of their names, as notice.json has them."""
        return [
            {"name": name, "records": max(one.records, 1), "first": one.first, "last": one.last}
            for name, one in sorted(self.names.items(), key=lambda item: (item[0].casefold(), item[0]))
        ]

    def _add(self, name: str, disclosed: Disclosed) -> None:
        if name in self.names or len(self.names) < NAMES_MAX:
            self.names[name] = self.names.get(name, Disclosed()).plus(disclosed)
        else:
            self.more += disclosed.records


def together(tallies: Iterable[RecipientTally]) -> RecipientTally:
    """Return the recipients that any of these tallies names."""
    whole = RecipientTally()
    for tally in tallies:
        whole.add(tally)
    return whole


def _readable(name: str) -> str:
    """Return a name without control characters and lone surrogates, which databases refuse, and cut."""
    kept = "".join(" " if unicodedata.category(letter) in {"Cc", "Cs"} else letter for letter in name[: 2 * LENGTH_MAX])
    shown = " ".join(kept.split())
    return shown if len(shown) <= LENGTH_MAX else f"{shown[: LENGTH_MAX - 1]}…"
