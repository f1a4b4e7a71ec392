"""The directory: where a subject's verified address and language are looked up, at the moment of use and never stored.

A plugin of the entry point group `portability.directory` (docs/mail.md); the setting DIRECTORY names the one in use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from portability.api import Sources, Subject, SubjectKind
from portability.errors import BrokenPlugin, PortabilityError, UnknownDirectory
from portability.plugins import find
from portability.subjects import first_identity

DIRECTORIES = "portability.directory"


@dataclass(frozen=True, slots=True)
class Contact:
    """How a subject is reached now."""

    address: str = field(repr=False)
    """An e-mail address, as it is: never logged, never stored."""
    language: str | None
    """A tag of BCP 47, such as `id-ID`."""
    verified: bool
    """Whether its owner has proved that it is theirs; nothing is mailed to any other."""
    changed_at: datetime | None
    """When the address, or another way to reach or to become this subject, changed last."""
    can_log_in: bool = True
    """False for a contact or a closed account: they get a link and a one-time code instead."""


@runtime_checkable
class Directory(Protocol):
    """Knows how to reach subjects. Entry point group `portability.directory`: a factory `(sources) -> Directory`."""

    def contact(self, subject: Subject) -> Contact | None:
        """How to reach a subject; None where it is unknown or has no address. A tenant's is its administrator's.

        Raises: SourceUnavailable (asked again later), SourceRefused.
        """
        ...


def load_directory(sources: Sources, name: str) -> Directory:
    """The directory of that name. Raises UnknownDirectory, DuplicatePlugin, BrokenPlugin."""
    found = find(DIRECTORIES)
    if name not in found:
        raise UnknownDirectory(f"no directory is named {name!r}; installed: {', '.join(found) or 'none'}")
    factory = found[name].load()
    try:
        directory = factory(sources)
    except PortabilityError:
        raise
    except Exception as error:
        raise BrokenPlugin(f"directory plugin {name!r} does not start: {type(error).__name__}") from error
    if not isinstance(directory, Directory):
        raise BrokenPlugin(f"directory plugin {name!r} is not a Directory: {type(directory).__name__}")
    return directory


def named(kind: SubjectKind, identifier: str, tenant: str | None, ref: str = "") -> Subject:
    """A subject as a request names it: enough for a directory to find it."""
    return Subject(kind, tenant, ref, (first_identity(kind, identifier, tenant),))


def last_change(directory: Directory, subject: Subject) -> datetime | None:
    """When the subject's contact data changed last, for who decides whether a second person must look (R18).

    None: never, as far as is known. Raises SourceUnavailable, SourceRefused.
    """
    contact = directory.contact(subject)
    return None if contact is None else contact.changed_at
