"""Tags of datasets and fields, by which the profiles decide; plugins import them from `portability.api`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SubjectKind(StrEnum):
    """Whose data it is: an account holder, one tenant's end customer, or the tenant itself."""

    USER = "user"
    CONTACT = "contact"
    TENANT = "tenant"


class Provenance(StrEnum):
    """How the platform came to hold a value (WP242 rev.01 section III): given, seen, or inferred."""

    PROVIDED = "provided"
    OBSERVED = "observed"
    DERIVED = "derived"


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


class Person(StrEnum):
    """Of whom beside the subject a field tells (GDPR Art. 15(4), 20(4); R27)."""

    STAFF = "staff"
    """Id or name of a member of staff: a pseudonym stands in its place."""
    SPEAKER = "speaker"
    """Who spoke or wrote: words for a role stay (`ROLES_OF_SPEAKERS`), another one is a person's pseudonym."""
    OTHER = "other"
    """Details of other people; what holds an identity of the subject stays, entry by entry of a list."""
    NOTE = "note"
    """A private note of staff."""


ROLES_OF_SPEAKERS = frozenset(
    {"action", "agent", "ai", "ai_agent", "assistant", "bot", "caller", "company", "contact", "customer", "human"}
    | {"human_agent", "requester", "staff", "system", "user", "visitor"}
)
"""Words for who speaks that name nobody."""


class WithheldKind(StrEnum):
    """Why something is never delivered."""

    SECRET = "secret"  # noqa: S105  # a word, and no password
    """It opens something, or is one of the kinds that may not leave (R22)."""
    TRADE_SECRET = "trade_secret"  # noqa: S105  # as above
    """The platform's own (Data Act Art. 2(38), 25(2)(f)); the published list names each."""
    INTERNAL = "internal"
    """Housekeeping that says nothing about anybody."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """Something that is held and never delivered; the archive describes it (11 CCR 7024(d))."""

    what: str
    """In words that a person understands: `a bcrypt hash of your password`."""
    reason: str
    kind: WithheldKind = WithheldKind.SECRET
    what_id: str | None = None
    reason_id: str | None = None
    """Both in Indonesian."""
