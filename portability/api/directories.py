"""The protocol of directories: how a subject is reached, looked up when it is needed and never stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from portability.api.nouns import Subject


@dataclass(frozen=True, slots=True)
class Contact:
    """How to reach a subject at this moment."""

    address: str = field(repr=False)
    """The e-mail address in clear text: never logged, never stored."""
    language: str | None
    """A tag of BCP 47, such as `id-ID`."""
    verified: bool
    """Whether the owner has proved that the address is theirs; mail goes to verified addresses only."""
    changed_at: datetime | None
    """When the address, or another way to reach or impersonate this subject, last changed: with a time zone."""
    can_log_in: bool = True
    """False for a contact or a closed account: they get a link and a one-time code instead of a login."""
    previous: str | None = field(default=None, repr=False)
    """The verified address before the last change, where the platform keeps it: its owner hears of the change."""


@runtime_checkable
class Directory(Protocol):
    """Knows how to reach subjects. Entry point group `portability.directory`: a factory `(sources) -> Directory`."""

    def contact(self, subject: Subject) -> Contact | None:
        """Return how to reach a subject; None if the subject is unknown or has no address.

        For a tenant it is the tenant's administrator. The host checks the types of the answer, and treats another
        answer, and any other error, as SourceRefused.

        Raises: SourceUnavailable (the host retries later), SourceRefused.
        """
        ...
