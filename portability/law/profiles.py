"""Profiles: the right under which an export is made."""

from __future__ import annotations

from enum import StrEnum


class Profile(StrEnum):
    """The right under which an export is made; tags on datasets and fields decide what it contains."""

    ACCESS = "access"
    """GDPR Art. 15: all stored data about the subject."""
    PORTABILITY = "portability"
    """GDPR Art. 20: what was provided and observed; nothing derived."""
    SWITCH = "switch"
    """EU Data Act: all that the platform processes for a tenant, and its configuration."""


SENDABLE = frozenset({Profile.PORTABILITY, Profile.SWITCH})
"""Profiles that may be sent to another provider (GDPR Art. 20(2), Data Act Art. 25)."""
