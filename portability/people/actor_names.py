"""Names of actors, as rows and the audit log have them, with who authenticated the person."""

from __future__ import annotations

from hashlib import sha256
from typing import Self

OPERATING_SYSTEM = "os"
"""The issuer of operators: the operating system has authenticated them."""
ADDRESS_ISSUER = "address"
"""The issuer of people without account: they have proved an address."""


class ActorName(str):
    """The text `role:id`, which also knows the issuer of the id: two issuers may give the same id to two people.

    It is a text, so that rows and comparisons have `role:id` only; the audit log records the issuer beside it.
    """

    __slots__ = ("issuer",)
    issuer: str
    """As `Actor.issuer`; empty: the id needs none."""

    def __new__(cls, name: str, issuer: str = "") -> Self:
        made = super().__new__(cls, name)
        made.issuer = issuer
        return made


def issuer_of(actor: str) -> str:
    """Return the issuer of an actor's id; empty for programs, and if it is not known."""
    return actor.issuer if isinstance(actor, ActorName) else ""


def short_issuer(issuer: str) -> str:
    """Return the name of an issuer in the audit log: `os`, `address`, or the beginning of the SHA-256 of its URL."""
    return issuer if issuer in {OPERATING_SYSTEM, ADDRESS_ISSUER} else f"iss_{sha256(issuer.encode()).hexdigest()[:12]}"
