"""Who is acting."""

from __future__ import annotations

import os
import pwd
import re
from dataclasses import dataclass

from portability.errors import BadInput, NotAllowed
from portability.settings import Settings

ROLES = ("subject", "tenant_admin", "staff", "officer", "auditor", "operator", "recipient")


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody in a role; `str()` is what the audit log keeps."""

    role: str
    id: str

    def __str__(self) -> str:
        return f"{self.role}:{self.id}"


def acting(settings: Settings, claimed: str | None) -> Actor:
    """The actor of a command.

    Raises:
        BadInput: not `ROLE:ID`.
        NotAllowed: a role is claimed outside the embedded stack, where nobody has checked it.
    """
    if claimed is None:
        return Actor("operator", _login())
    role, _, name = claimed.partition(":")
    if role not in ROLES or not re.fullmatch(r"[A-Za-z0-9._@-]{1,100}", name):
        raise BadInput("--as is not ROLE:ID", hint=f"roles are {', '.join(ROLES)}")
    if not settings.embedded:
        raise NotAllowed("--as works on the embedded stack only", hint="leave it out: the actor is your login")
    return Actor(role, name)


def _login() -> str:
    """The account of this process, by the system: an environment variable could say anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container, any number may run it
        return str(os.getuid())
