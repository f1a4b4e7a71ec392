"""Envelopes: a notification's recipient, language and link at the time of sending, or why it is not sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, Engine, RowMapping

from portability import locale
from portability.api import Subject, SubjectKind
from portability.api.directories import Contact, Directory
from portability.database import deployment
from portability.database.engine import reading, writing
from portability.delivery import codes, links
from portability.delivery.links import Audience
from portability.errors import WrongState
from portability.inbox import received
from portability.inbox.states import ReceivedState
from portability.law import tenants
from portability.law.tenants import InformGround
from portability.locale import values
from portability.messages import letters, outbox
from portability.messages.letters import LetterLooks
from portability.messages.mail import Letter
from portability.messages.outbox import ABOUT_CONSENT, ABOUT_RECEIVED, Channel, MessageKind, MessageState
from portability.people.directory import look_up, named
from portability.requests import approvals, exports, keeping, outcome, referrals
from portability.requests.referrals import ReferralState
from portability.requests.states import ExportState
from portability.settings import Settings
from portability.transfers import authorisations, recipients
from worker.clock import provider_facts

ACTOR = "clock"
TRUE_OF = {
    MessageKind.READY: ExportState.READY,
    MessageKind.EXPIRING: ExportState.READY,
    MessageKind.FAILED: ExportState.FAILED,
    MessageKind.LOG_IN: ExportState.FAILED,
}
"""A message about a state is sent only while the state lasts."""
WITH_ACCOUNT = frozenset({SubjectKind.USER, SubjectKind.TENANT})
"""Kinds of subjects that have an account page, unless the account is closed."""
WITH_LANDING_PAGE = frozenset({MessageKind.READY, MessageKind.EXPIRING, MessageKind.DENIED, MessageKind.NOT_FOUND})
"""States with something to read after entering a code: an archive, or the reasons of a refusal."""
TO_PREVIOUS_ADDRESS = frozenset({MessageKind.ADDRESS_CHANGED, MessageKind.RECALLED})
"""Messages that the owner of the address before a change must get: another person may have changed it."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A letter with its address, which is kept only while it is handed over. An SMS is the letter's text only."""

    address: str = field(repr=False)
    language: str
    letter: Letter = field(repr=False)
    remark: str | None = None
    """What is recorded with a message that was sent."""


@dataclass(frozen=True, slots=True)
class Unmailed:
    """The final state of a notification that is not sent, and why."""

    state: MessageState
    reason: str


@dataclass(frozen=True, slots=True)
class Desk:
    """The resources for filling an envelope."""

    engine: Engine
    settings: Settings
    directory: Directory


def fill(desk: Desk, row: RowMapping) -> Envelope | Unmailed:
    """Return the envelope of a notification.

    Raises: SourceUnavailable, SourceRefused, NoSigningKey, DatabaseUnavailable: the caller retries later.
    """
    match MessageKind(row["kind"]):
        case MessageKind.ADDRESS_CODE:
            return _to_address(desk, row)
        case MessageKind.REFERRED:
            return _to_tenant(desk, row)
        case kind if kind in ABOUT_CONSENT:
            return _about_consent(desk, kind, row)
        case kind if kind in ABOUT_RECEIVED:
            return _about_received(desk, kind, row)
        case kind:
            return _about_export(desk, kind, row)


def _about_export(desk: Desk, kind: MessageKind, row: RowMapping) -> Envelope | Unmailed:
    with reading(desk.engine) as connection:
        export = exports.get(connection, row["export_id"])
        is_past = kind in TRUE_OF and not _holds(connection, export, row, TRUE_OF[kind])
        if is_past or provider_facts.is_over(connection, kind, export):  # the letter may have been claimed before
            return Unmailed(MessageState.PAGE, outbox.OUTDATED)
        to_admin = links.to_admin(connection, export)
        code = codes.text(connection, desk.settings.keys, row["occasion"]) if kind is MessageKind.CODE else ""
        recipient = provider_facts.named(connection, kind, row["occasion"])
        end = provider_facts.end(connection, kind, row["occasion"])
        is_true = provider_facts.is_true(connection, kind, row["occasion"])
        until = keeping.kept_until(connection, desk.settings, export)
        offered_until = provider_facts.offer_end(connection, kind, row["occasion"])
        awaited = provider_facts.awaits(connection, kind, export["id"])
    if not is_true or not isinstance(code, str):
        return Unmailed(MessageState.PAGE, outbox.OUTDATED)
    if row["channel"] == Channel.SMS:
        return _by_sms(desk, kind, export["subject_id"], export["language"])
    contact = look_up(desk.directory, _recipient(export, to_admin=to_admin))
    if contact and kind in TO_PREVIOUS_ADDRESS:
        contact = _before_change(contact, kind, export)
    if not (contact and contact.verified):
        return _without_address(export["subject_kind"], contact)
    language = locale.nearest([contact.language or export["language"] or ""])
    try:
        url = _url(desk, export, row, contact, until, to_admin=to_admin)
    except WrongState:
        return Unmailed(MessageState.PAGE, outbox.OUTDATED)
    facts = _facts(export, row, language, code, recipient) | {"until": values.moment(language, offered_until or until)}
    answer = end or awaited or _answer(desk.settings, export, kind)
    letter = letters.write(kind, language, facts, answer=answer, url=url, **_looks(desk.settings))
    return Envelope(contact.address, language, letter)


def _about_consent(desk: Desk, kind: MessageKind, row: RowMapping) -> Envelope | Unmailed:
    """Return the envelope of a message about an authorisation, for its subject."""
    with reading(desk.engine) as connection:
        consent = authorisations.get(connection, row["occasion"])
        recipient = recipients.known_as(connection, consent["recipient_id"])
        answer = provider_facts.end_of_consent(connection, consent)
        is_true = provider_facts.is_consent_true(connection, kind, consent)
    if not is_true:
        return Unmailed(MessageState.PAGE, outbox.OUTDATED)
    return _to_person(desk, kind, row, consent, {"id": consent["id"], "recipient": recipient}, answer)


def _about_received(desk: Desk, kind: MessageKind, row: RowMapping) -> Envelope | Unmailed:
    """Return the envelope of a message about a received transfer, for the subject whose data it is here."""
    with reading(desk.engine) as connection:
        about = received.get(connection, row["occasion"])
    if kind is MessageKind.RECEIVED_FOR_YOU and about["state"] == ReceivedState.UNDONE:
        return Unmailed(MessageState.PAGE, outbox.OUTDATED)
    return _to_person(desk, kind, row, about, {"id": about["id"], "sender": about["sender_name"]})


def _to_person(
    desk: Desk,
    kind: MessageKind,
    row: RowMapping,
    about: RowMapping,
    facts: Mapping[str, str],
    answer: str | None = None,
) -> Envelope | Unmailed:
    """Return the envelope of a message about no export, to the subject that a row names."""
    subject_kind = SubjectKind(about["subject_kind"])
    if row["channel"] == Channel.SMS:
        return _by_sms(desk, kind, about["subject_id"], None)
    named_subject = named(subject_kind, about["subject_id"], about["tenant"], about["subject_ref"])
    contact = look_up(desk.directory, named_subject)
    if not (contact and contact.verified):
        return _without_address(subject_kind, contact)
    settings, language = desk.settings, locale.nearest([contact.language or ""])
    url = _page(settings, subject_kind, contact)
    letter = letters.write(kind, language, facts, answer=answer, url=url, **_looks(settings))
    is_new_address = approvals.is_recent(settings, contact.changed_at, deployment.clock(desk.engine))
    remark = authorisations.ADDRESS_CHANGED if is_new_address else None
    return Envelope(contact.address, language, letter, remark)


def _before_change(contact: Contact, kind: MessageKind, export: RowMapping) -> Contact | None:
    """Return the contact with the address that it had before the last change, as far as the directory knows it.

    The report of a change goes to the new address if no other is known; of a recall it does not, if the address has
    changed since the request: the archive may have gone there by mistake.
    """
    is_new = contact.changed_at is not None and contact.changed_at > export["created_at"]
    if contact.previous and (is_new or kind is MessageKind.ADDRESS_CHANGED):
        return replace(contact, address=contact.previous)
    return None if is_new and kind is MessageKind.RECALLED else contact


def _without_address(subject_kind: str, contact: Contact | None) -> Unmailed:
    """Return the end of a message without address: a person with a login finds it on the account page.

    For all others an operator must find the address.
    """
    has_page = subject_kind in WITH_ACCOUNT and (not contact or contact.can_log_in)
    return Unmailed(MessageState.PAGE if has_page else MessageState.FAILED, "no_address")


def _to_address(desk: Desk, row: RowMapping) -> Envelope | Unmailed:
    """Return the envelope of a code that proves an address: it goes to that address, which is not looked up."""
    with reading(desk.engine) as connection:
        owner = codes.address(connection, row["occasion"])
        code = codes.text(connection, desk.settings.keys, row["occasion"])
    if owner is None or code is None:
        return Unmailed(MessageState.PAGE, outbox.OUTDATED)
    settings, language = desk.settings, locale.nearest([row["language"] or ""])
    facts = {"id": row["occasion"], "code": _spaced(code), "minutes": str(codes.HOLDS_SECONDS // 60)}
    if row["channel"] == Channel.SMS:
        return Envelope(owner, language, letters.code_by_sms(language, facts, settings.brand_name))
    letter = letters.write(MessageKind.ADDRESS_CODE, language, facts, url=None, **_looks(settings))
    return Envelope(owner, language, letter)


def _by_sms(desk: Desk, kind: MessageKind, number: str, language: str | None) -> Envelope:
    """Return the envelope of an SMS: what happened, and where to log in with a code."""
    chosen, settings = locale.nearest([language or ""]), desk.settings
    url = f"{settings.base_url.rstrip('/')}{codes.LOGIN_PAGE}"
    return Envelope(number, chosen, letters.short(kind, chosen, url, settings.brand_name))


def _to_tenant(desk: Desk, row: RowMapping) -> Envelope | Unmailed:
    """Return the envelope of a message to a tenant's administrator: it names no person and no data."""
    with reading(desk.engine) as connection:
        referral = referrals.get(connection, row["occasion"])
        is_over = provider_facts.is_over(connection, MessageKind.REFERRED, exports.get(connection, row["export_id"]))
    if is_over or referral["state"] != ReferralState.OPEN:
        return Unmailed(MessageState.PAGE, outbox.OUTDATED)
    contact = look_up(desk.directory, named(SubjectKind.TENANT, referral["tenant"], referral["tenant"]))
    if contact is None or not contact.verified:
        return Unmailed(MessageState.FAILED, "no_address")
    language, settings = locale.nearest([contact.language or ""]), desk.settings
    facts = {"id": referral["id"], "due": values.moment(language, referral["due_at"])}
    url = f"{settings.base_url.rstrip('/')}/staff/referrals"
    letter = letters.write(MessageKind.REFERRED, language, facts, url=url, **_looks(settings))
    return Envelope(contact.address, language, letter)


def _looks(settings: Settings) -> LetterLooks:
    """Return how the deployment presents itself in a letter."""
    return {
        "contact": settings.contact,
        "brand": settings.brand_name,
        "colour": settings.brand_colour,
        "dark_colour": settings.brand_colour_dark,
    }


def _answer(settings: Settings, export: RowMapping, kind: MessageKind) -> str | None:
    """Return what a letter adds: the answer of an archive, or who will be informed of a request, and why."""
    if kind is MessageKind.READY:
        return outcome.answer(export)
    if kind is not MessageKind.ACKNOWLEDGED or export["subject_kind"] == SubjectKind.TENANT:
        return None
    if tenants.load(settings.tenants_file).has_contract(export["tenant"]):
        return InformGround.CONTRACT
    return InformGround.CONSENT if export["tell_tenants"] else None


def _holds(connection: Connection, export: RowMapping, row: RowMapping, state: ExportState) -> bool:
    return bool(export["state"] == state) and bool(row["occasion"] == outbox.present_occasion(connection, export["id"]))


def _recipient(export: RowMapping, *, to_admin: bool) -> Subject:
    """Return the subject; for a contact whose archive goes to the tenant, the tenant."""
    if to_admin:
        return named(SubjectKind.TENANT, export["tenant"], export["tenant"])
    return named(SubjectKind(export["subject_kind"]), export["subject_id"], export["tenant"], export["subject_ref"])


def _facts(export: RowMapping, row: RowMapping, language: str, code: str, recipient: str) -> dict[str, str]:
    return {
        "id": export["id"],
        "due": values.moment(language, export["due_at"]),
        "code": _spaced(code),
        "minutes": str(codes.HOLDS_SECONDS // 60),
        "at": values.moment(language, row["created_at"]),
        "device": row["device"] or locale.text(language, "mail.unknown_device"),
        "recipient": recipient,
    }


def _spaced(code: str) -> str:
    return f"{code[:4]} {code[4:]}".strip()


def _page(settings: Settings, subject_kind: str, contact: Contact) -> str | None:
    """Return where a person reads about their requests: after a login, or after a code to their address; else None."""
    base = settings.base_url.rstrip("/")
    if subject_kind in WITH_ACCOUNT and contact.can_log_in:
        return f"{base}/me"
    return f"{base}{codes.LOGIN_PAGE}" if subject_kind in settings.address_kinds else None


def _url(
    desk: Desk, export: RowMapping, row: RowMapping, contact: Contact, until: datetime, *, to_admin: bool
) -> str | None:
    """Return the account page for an account holder; for others a landing page, if there is something to get (R45).

    The account page also for a person whose address belongs to an account.
    """
    has_account = export["subject_kind"] in WITH_ACCOUNT and contact.can_log_in
    if row["kind"] == MessageKind.LOG_IN:
        return f"{desk.settings.base_url.rstrip('/')}/me"
    if has_account or row["kind"] not in WITH_LANDING_PAGE:
        return _page(desk.settings, export["subject_kind"], contact)
    audience = Audience.TENANT_ADMIN if to_admin else Audience.CODE
    with writing(desk.engine) as connection:
        left_seconds = (until - deployment.clock_of(connection)).total_seconds()
        if row["kind"] in {MessageKind.DENIED, MessageKind.NOT_FOUND}:
            left_seconds = links.TTL_MAX_SECONDS
        link = links.issue(
            connection,
            desk.settings.keys,
            export["id"],
            audience=audience,
            ttl_seconds=min(max(left_seconds, 60), links.TTL_MAX_SECONDS),
            actor=ACTOR,
            is_reported=False,
        )
    return link.url(desk.settings.base_url)
