"""What the workers of a deployment share about a source: how often it may be called, and the tokens of its login."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Rate:
    """How often all workers together may call: at most `calls` within any `seconds`."""

    bucket: str
    """Calls with the same name count together: `crm`, or `crm:search`. Never personal data."""
    calls: int
    seconds: int


class SharedState(Protocol):
    """State that all workers of a deployment share. Thread-safe. Each method raises SourceUnavailable on an outage."""

    def take(self, rates: Sequence[Rate]) -> float:
        """Take one call of every rate, and return 0; or take none, and return the seconds until it is worth asking."""
        ...

    def pause(self, bucket: str, seconds: float) -> None:
        """Stop the calls of a bucket for some seconds, because the source asks for it."""
        ...

    def secret(self, name: str, is_current: Callable[[str], bool], renew: Callable[[str | None], str]) -> str:
        """Return the stored secret of a name if `is_current` accepts it; else what `renew` makes of it.

        One worker renews at a time; the others wait, and get its result. The new secret is stored, encrypted, before
        this returns: a source that accepts each refresh token once never sees an older one. `renew` must end within
        RENEWAL_SECONDS.

        Raises: SourceUnavailable; what `renew` raises.
        """
        ...


RENEWAL_SECONDS = 90.0
"""The time limit for the renewal of a secret, which others wait for."""
