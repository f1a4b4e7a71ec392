"""Tags of datasets and fields, by which the profiles decide; plug-ins import them from `portability.api`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SubjectKind(StrEnum):
    """Whose data it is: an account holder, an end customer of one tenant, the tenant itself, or a proved address."""

    USER = "user"
    CONTACT = "contact"
    TENANT = "tenant"
    EMAIL = "email"
    """A person without an account, who is known by an e-mail address: the id is the address in its normal form."""
    PHONE = "phone"
    """The same with a phone number in E.164."""


ADDRESS_KINDS = frozenset({SubjectKind.EMAIL, SubjectKind.PHONE})
"""Subjects whose id is an address. It is personal data: unlike other ids it may not be in logs, keys and events."""


class Provenance(StrEnum):
    """How the platform obtained a value (WP242 rev.01 section III): provided, observed, or derived."""

    PROVIDED = "provided"
    OBSERVED = "observed"
    DERIVED = "derived"
    """By software, or by staff, such as a note about the subject."""


class Role(StrEnum):
    """In which role the platform holds a dataset (GDPR Art. 4(7), 4(8)); BOTH needs an instruction, as PROCESSOR."""

    CONTROLLER = "controller"
    PROCESSOR = "processor"
    BOTH = "both"


class FieldType(StrEnum):
    """The JSON type of a field's values and what it means. NULL is allowed in every field."""

    STRING = "string"
    INTEGER = "integer"
    """A JSON integer; formats write integers beyond 2^53 as strings."""
    NUMBER = "number"
    """A finite float."""
    DECIMAL = "decimal"
    """An exact decimal, as a string with all its digits: `"1250000.00"`."""
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    """RFC 3339 in UTC, as a string: `"2026-11-24T08:30:00.123456Z"`."""
    DATE = "date"
    """RFC 3339 full-date, as a string: `"2026-11-24"`."""
    OBJECT = "object"
    """Any JSON value: an object or an array."""


REDACTABLE = frozenset({FieldType.STRING, FieldType.OBJECT})
"""Types of fields that may describe another person: a mark or a pseudonym replaces the value."""


class Person(StrEnum):
    """Which person other than the subject a field describes (GDPR Art. 15(4), 20(4); R27)."""

    STAFF = "staff"
    """Id or name of a member of staff: replaced by a pseudonym."""
    SPEAKER = "speaker"
    """Who spoke or wrote: words for a role stay (`ROLES_OF_SPEAKERS`), any other value is replaced by a pseudonym."""
    OTHER = "other"
    """Details of other people; in a list, entries with an identity of the subject stay."""
    NOTE = "note"
    """Free text of staff about the subject: it stays (CJEU C-434/16), and addresses of other people in it are masked.

    A note that must not be delivered is not a field: the dataset names it in `withheld`, with its ground.
    """


ROLES_OF_SPEAKERS = frozenset(
    {"action", "agent", "ai", "ai_agent", "assistant", "bot", "caller", "company", "contact", "customer", "human"}
    | {"human_agent", "requester", "staff", "system", "user", "visitor"}
)
"""Words for a speaker's role that do not identify a person."""


class RowRemark(StrEnum):
    """What is remarkable about a record that is delivered: it is counted in the ledger, and the operator is alarmed."""

    PAST_RETENTION = "past_retention"
    """Its retention period is over and it is not under a legal hold: it should have been deleted."""
    SOFT_DELETED = "soft_deleted"
    """The source marks it as deleted, and still stores it."""
    CREATED_IN_FUTURE = "created_in_future"
    """The source states a creation time that has not come yet."""
    NO_PERSON = "no_person"
    """A tenant's record that leads to no person. It is counted for information, and needs no alarm."""


class WithheldKind(StrEnum):
    """Why something is never delivered."""

    SECRET = "secret"  # noqa: S105  # a word, not a password
    """It gives access to something, or is one of the kinds that must not be exported (R22)."""
    TRADE_SECRET = "trade_secret"  # noqa: S105  # as above
    """The platform's own trade secret (Data Act Art. 2(38), 25(2)(f)); the published list names each."""
    OTHER_PERSON = "other_person"
    """It identifies another person, such as a member of staff (GDPR Art. 15(4))."""
    INTERNAL = "internal"
    """Technical data that says nothing about any person."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """Stored data that is never delivered; the archive describes it (11 CCR 7024(d))."""

    name: str
    """Of the column, or another word of lower-case letters, digits, `_` and `-`; unique within the dataset."""
    what: str
    """A description that a person understands: `a bcrypt hash of your password`."""
    reason: str
    kind: WithheldKind = WithheldKind.SECRET
