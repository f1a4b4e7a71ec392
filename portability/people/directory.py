"""The directory: looks up a subject's verified address and language when they are needed; they are never stored.

A plug-in of the entry point group `portability.directory` (docs/mail.md); the setting DIRECTORY names the one in use.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import NoneType

from portability.api import ADDRESS_KINDS, Contact, Directory, Sources, Subject, SubjectKind
from portability.api.errors import BrokenPlugin, PortabilityError, SourceRefused
from portability.api.nouns import first_identity
from portability.errors import UnknownDirectory
from portability.people.addresses import for_mail
from portability.plugins import DIRECTORIES, find

_HINT = "portability.api.Contact says of which type each field is"
_TYPES: Mapping[str, tuple[type, ...]] = {
    "address": (str,),
    "language": (str, NoneType),
    "verified": (bool,),
    "changed_at": (datetime, NoneType),
    "can_log_in": (bool,),
    "previous": (str, NoneType),
}


class NoDirectory:
    """The directory of a deployment without one: no subject has a known address, so its messages stay on /me."""

    def contact(self, subject: Subject) -> None:
        """Return None, for every subject."""


def load_directory(sources: Sources, name: str | None) -> Directory:
    """Load the named directory, or one without addresses. Raises UnknownDirectory, DuplicatePlugin, BrokenPlugin."""
    if name is None:
        return NoDirectory()
    found = find(DIRECTORIES)
    if name not in found:
        raise UnknownDirectory(f"unknown directory {name!r}; installed: {', '.join(found) or 'none'}")
    factory = found[name].load()
    try:
        directory = factory(sources)
    except PortabilityError:
        raise
    except Exception as error:
        raise BrokenPlugin(f"directory plug-in {name!r} cannot be started: {type(error).__name__}") from error
    if not isinstance(directory, Directory):
        raise BrokenPlugin(f"directory plug-in {name!r} is not a Directory: it is a {type(directory).__name__}")
    return directory


def named(kind: SubjectKind, identifier: str, tenant: str | None, ref: str = "") -> Subject:
    """Make a subject from a request: enough for a directory to find it."""
    return Subject(kind, tenant, ref, (first_identity(kind, identifier, tenant),))


def look_up(directory: Directory, subject: Subject) -> Contact | None:
    """Return how to reach a subject; None: it is unknown, or has no address.

    A subject that is an e-mail address is reached there: the directory knows accounts and contacts.

    Raises: SourceUnavailable; SourceRefused, also for an error or an answer that the protocol does not allow.
    """
    if subject.kind in ADDRESS_KINDS:
        (address,) = subject.verified(subject.kind)
        contact = Contact(for_mail(address), None, verified=True, changed_at=None, can_log_in=False)
        return contact if subject.kind is SubjectKind.EMAIL else None
    try:
        answer = directory.contact(subject)
    except PortabilityError:
        raise
    except Exception as error:  # noqa: BLE001  # third-party code may raise anything
        # The text of the error may contain an address.
        raise SourceRefused(f"the directory raised {type(error).__name__}") from None
    return _checked(answer)


def last_change(directory: Directory, subject: Subject) -> datetime | None:
    """Return when the subject's contact data last changed, to decide whether a second person must approve (R18).

    None: no change is known. Raises SourceUnavailable, SourceRefused.
    """
    contact = look_up(directory, subject)
    return None if contact is None else contact.changed_at


def _checked(answer: object) -> Contact | None:
    """Return what a plug-in answered, if it is of the types that it declares. The error has no value: it is personal.

    A text such as "false" would count as verified, and a time without a time zone is before or after no other.
    """
    if answer is None:
        return None
    if not isinstance(answer, Contact):
        raise SourceRefused(
            f"the directory returned a {type(answer).__name__}", hint="contact() returns Contact or None"
        )
    for name, types in _TYPES.items():
        value = getattr(answer, name)
        if not isinstance(value, types):
            raise SourceRefused(f"the directory returned a {type(value).__name__} as {name}", hint=_HINT)
    if answer.changed_at is not None and answer.changed_at.utcoffset() is None:
        raise SourceRefused("the directory returned a time without time zone as changed_at", hint=_HINT)
    return answer
