"""Actors of commands: the account of the operating system, or on the embedded stack a role that the command names."""

from __future__ import annotations

import os
import pwd
import re

from portability.api.errors import BadInput
from portability.errors import NotAllowed
from portability.people.actor_names import OPERATING_SYSTEM
from portability.requests.policy import ROLES, Actor, ActorRole
from portability.settings import Settings


def acting(settings: Settings, claimed: str | None) -> Actor:
    """Return the actor of a command; an administrator's tenant follows an @: `tenant_admin:ID@TENANT`.

    Raises:
        BadInput: not `ROLE:ID`.
        NotAllowed: a role is given outside the embedded stack, where it cannot be checked.
    """
    if claimed is None:
        return Actor(ActorRole.OPERATOR, _login(), issuer=OPERATING_SYSTEM)
    role, _, name = claimed.partition(":")
    if role not in ROLES or not re.fullmatch(r"[A-Za-z0-9._@-]{1,100}", name):
        raise BadInput("--as must have the form ROLE:ID", hint=f"roles: {', '.join(ROLES)}")
    if not settings.embedded:
        raise NotAllowed("--as works only on the embedded stack", hint="remove --as: the actor is your login")
    if role == ActorRole.TENANT_ADMIN and "@" in name:
        name, _, tenant = name.rpartition("@")
        return Actor(role, name, tenant)
    return Actor(role, name)


def _login() -> str:
    """Return the account of this process from the operating system; an environment variable could be forged."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container the user id may have no account
        return str(os.getuid())
