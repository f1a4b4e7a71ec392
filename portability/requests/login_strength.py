"""The strength of a login: whether it had a second factor, and whether it is recent (RFC 8176, RFC 9470)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

SKEW_SECONDS = 60
"""Tolerated difference between two clocks; a login later than that is invalid."""


@dataclass(frozen=True, slots=True)
class Auth:
    """How reliable the actor's login is."""

    strong: bool
    """The login used a second factor."""
    fresh: bool
    """The login is recent."""

    @classmethod
    def of(
        cls,
        claims: Mapping[str, Any],
        *,
        strong_acr: Collection[str],
        max_age_seconds: int,
        present: datetime,
    ) -> Auth:
        """Make it from `acr`, `amr` (RFC 8176) and `auth_time` of a checked token."""
        methods = claims.get("amr")
        named = {str(claims.get("acr"))} | ({*map(str, methods)} if isinstance(methods, list | tuple) else set())
        at = claims.get("auth_time")
        age_seconds = present.timestamp() - at if isinstance(at, int | float) and not isinstance(at, bool) else None
        fresh = age_seconds is not None and -SKEW_SECONDS <= age_seconds <= max_age_seconds
        return cls(strong=not named.isdisjoint(strong_acr), fresh=fresh)


NO_AUTH = Auth(strong=False, fresh=False)
PRESENT = Auth(strong=True, fresh=True)
"""For a command: the operating system has authenticated the user of the machine."""
