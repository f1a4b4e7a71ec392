"""Envelopes: to whom a notification goes now, in which language, with which link, or why it is not mailed at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, RowMapping

from portability import codes, exports, links
from portability.api import Subject, SubjectKind
from portability.db import reading, writing
from portability.deadlines import EXPIRY_NOTICE, kept_until
from portability.directory import Contact, Directory, named
from portability.errors import PortabilityError, SourceRefused, WrongState
from portability.links import Audience
from portability.mail import Letter
from portability.notify import Kind, State, present_occasion
from portability.settings import Settings
from portability.states import ExportState
from worker import letters

ACTOR = "clock"
TRUE_OF = {
    Kind.READY: ExportState.READY,
    Kind.EXPIRING: ExportState.READY,
    Kind.FAILED: ExportState.FAILED,
}
"""What is told of a state is told while it lasts."""
WITH_LANDING_PAGE = frozenset({Kind.READY, Kind.EXPIRING, Kind.DENIED})
"""There is something to be read behind a code: an archive, or the reasons of a refusal."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A letter with its address, which is kept no longer than it takes to hand it over."""

    address: str = field(repr=False)
    language: str
    letter: Letter = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unmailed:
    """What becomes of a notification that is not mailed, and why."""

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Desk:
    """What filling an envelope needs."""

    engine: Engine
    settings: Settings
    directory: Directory


def fill(desk: Desk, row: RowMapping) -> Envelope | Unmailed:
    """The envelope of a notification.

    Raises: SourceUnavailable, SourceRefused, NoSigningKey, DatabaseUnavailable: it is tried again later.
    """
    kind = Kind(row["kind"])
    with reading(desk.engine) as connection:
        export = exports.get(connection, row["export_id"])
        if kind in TRUE_OF and not _holds(connection, export, row, TRUE_OF[kind]):
            return Unmailed(State.PAGE, "outdated")
        to_admin = links.to_admin(connection, export)
        code = codes.text(connection, desk.settings.keys, row["occasion"]) if kind is Kind.CODE else ""
    if code is None:
        return Unmailed(State.PAGE, "outdated")
    contact = _look_up(desk.directory, _recipient(export, to_admin=to_admin))
    if contact is None or not contact.verified:
        # Whoever has a login finds it on the account page; of anybody else somebody must find the address.
        has_page = export["subject_kind"] != SubjectKind.CONTACT and (contact is None or contact.can_log_in)
        return Unmailed(State.PAGE if has_page else State.FAILED, "no_address")
    language = letters.language(contact.language)
    try:
        url = _url(desk, export, row, contact, to_admin=to_admin)
    except WrongState:
        return Unmailed(State.PAGE, "outdated")
    facts = _facts(desk.settings, export, row, language, code)
    return Envelope(
        contact.address, language, letters.write(kind, language, facts, url=url, contact=desk.settings.contact)
    )


def _look_up(directory: Directory, subject: Subject) -> Contact | None:
    try:
        return directory.contact(subject)
    except PortabilityError:
        raise
    except Exception as error:  # noqa: BLE001  # a stranger's plugin may raise anything
        # A stranger's plugin; its text may hold an address.
        raise SourceRefused(f"the directory raised {type(error).__name__}") from None


def _holds(connection: Connection, export: RowMapping, row: RowMapping, state: ExportState) -> bool:
    return bool(export["state"] == state) and bool(row["occasion"] == present_occasion(connection, export["id"]))


def _recipient(export: RowMapping, *, to_admin: bool) -> Subject:
    """The subject; of a contact whose archive the tenant has ordered for itself, the tenant."""
    if to_admin:
        return named(SubjectKind.TENANT, export["tenant"], export["tenant"])
    return named(SubjectKind(export["subject_kind"]), export["subject_id"], export["tenant"], export["subject_ref"])


def _until(settings: Settings, export: RowMapping, row: RowMapping) -> datetime:
    """Until when the archive is kept, as far as this notification can know."""
    until = kept_until(export["ended_at"] or row["created_at"], settings.ttl_seconds(export["subject_kind"]))
    return max(until, row["created_at"] + EXPIRY_NOTICE) if row["kind"] == Kind.EXPIRING else until


def _facts(settings: Settings, export: RowMapping, row: RowMapping, language: str, code: str) -> Mapping[str, str]:
    return {
        "id": export["id"],
        "due": letters.date(export["due_at"], language),
        "until": letters.date(_until(settings, export, row), language),
        "code": f"{code[:4]} {code[4:]}".strip(),
        "minutes": str(codes.HOLDS_SECONDS // 60),
    }


def _url(desk: Desk, export: RowMapping, row: RowMapping, contact: Contact, *, to_admin: bool) -> str | None:
    """The account page for whoever has one; for others, where there is something to fetch, a landing page (R45)."""
    page = f"{desk.settings.base_url.rstrip('/')}/me"
    if export["subject_kind"] != SubjectKind.CONTACT and contact.can_log_in:
        return page
    if row["kind"] not in WITH_LANDING_PAGE:
        return None
    left_seconds = (_until(desk.settings, export, row) - datetime.now(UTC)).total_seconds()
    if row["kind"] == Kind.DENIED:
        left_seconds = links.TTL_MAX_SECONDS
    audience = Audience.TENANT_ADMIN if to_admin else Audience.CODE
    with writing(desk.engine) as connection:
        link = links.issue(
            connection,
            desk.settings.keys,
            export["id"],
            audience=audience,
            ttl_seconds=min(max(left_seconds, 60), links.TTL_MAX_SECONDS),
            actor=ACTOR,
        )
    return link.url(desk.settings.base_url)
