"""Logins: who a person is, as the OpenID provider describes them or as a code has proved, and how strong that is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Self

from portability.api import ADDRESS_KINDS, SubjectKind
from portability.requests.login_strength import PRESENT, Auth
from portability.requests.policy import ROLES, Actor, ActorRole
from portability.settings import Settings
from web.provider import LoginFailed

ADDRESS_SECONDS = 1800
"""How long a login by code is valid."""
ID_MAX = 180
"""Characters of an account's id: with the longest role before it, the audit log has 200 for an actor."""
STEP_UPS_MAX = 5
"""How many second logins a session has: each counts for its own action."""


@dataclass(frozen=True, slots=True)
class StepUp:
    """A second, strong login for one action."""

    action: str
    thing: str
    """The id of the export that the action is about, or the ids of several; empty for other actions."""
    acr: str | None
    amr: tuple[str, ...]
    auth_time: int


@dataclass(frozen=True, slots=True)
class Login:
    """A logged-in person: as the OpenID provider describes them, or who has proved an address by a code."""

    id: str
    """Of the account, or the address in its normal form."""
    roles: tuple[str, ...]
    tenant: str | None
    acr: str | None
    amr: tuple[str, ...]
    auth_time: int
    at: int
    """When this application accepted the login, in seconds since 1970."""
    kind: SubjectKind = SubjectKind.USER
    """The kind of subject that this person is."""
    ref: str | None = None
    """The pseudonym of an address."""
    issuer: str = ""
    """Who authenticated the person: the login provider; empty for the development login."""
    step_ups: tuple[StepUp, ...] = ()
    """Of the last tabs that asked for a second login, the newest last."""

    @property
    def subject(self) -> str:
        """Return the subject that this person is, as requests name it."""
        return f"{self.kind}:{self.id}"

    @property
    def identity(self) -> str:
        """Return the issuer and the id, as each of the actors has it."""
        return next(self.actors()).identity

    @property
    def valid_seconds(self) -> int | None:
        """Return how long this login is valid; None: as long as any session."""
        return ADDRESS_SECONDS if self.kind in ADDRESS_KINDS else None

    def actors(self) -> Iterator[Actor]:
        """Yield the actors as which this person can act, as the subject first."""
        for role in self.roles:
            tenant = self.tenant if role == ActorRole.TENANT_ADMIN else None
            yield Actor(role, self.id, tenant, kind=self.kind, ref=self.ref, issuer=self.issuer)

    def auth(self, settings: Settings, present: datetime, action: str, thing: str = "") -> Auth:
        """Return how strong and how fresh the login is for an action; a step-up counts for its own action only.

        `present` is the time of the control database.
        """
        if self.kind in ADDRESS_KINDS:
            # The code proves all that can be proved; its session is short.
            return PRESENT
        matching = [again for again in self.step_ups if (again.action, again.thing) == (action, thing)]
        counting = matching[-1] if matching else self
        claims = {"acr": counting.acr, "amr": counting.amr, "auth_time": counting.auth_time}
        limits = {"strong_acr": settings.strong_acr, "max_age_seconds": settings.step_up_seconds}
        return Auth.of(claims, **limits, present=present)  # type: ignore[arg-type]  # two of two types

    def with_step_up(self, again: Login, action: str, thing: str) -> Login:
        """Return this login, with the present roles and a second login of the same person for one action."""
        step_up = StepUp(action, thing, again.acr, again.amr, again.auth_time)
        step_ups = (*self.step_ups, step_up)[-STEP_UPS_MAX:]
        return replace(self, roles=again.roles, tenant=again.tenant, step_ups=step_ups)

    def as_json(self) -> dict[str, Any]:
        """Return the login as a session keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Return the login that a session kept."""
        step_ups = tuple(StepUp(**{**again, "amr": tuple(again["amr"])}) for again in kept.get("step_ups", ()))
        lists = {name: tuple(kept[name]) for name in ("roles", "amr")}
        known = {name: value for name, value in kept.items() if name != "step_up"}  # an earlier release kept one
        return cls(**{**known, **lists, "kind": SubjectKind(kept["kind"]), "step_ups": step_ups})


def from_claims(settings: Settings, claims: Mapping[str, Any]) -> Login:
    """Return the login that the provider's claims describe. Each person has the role `subject`.

    Raises: LoginFailed for an id that cannot be the id of an account here.
    """
    auth_time = claims.get("auth_time")
    acr = claims.get("acr")
    roles, tenant = roles_of(settings, claims)
    identifier = str(claims["sub"])
    if len(identifier) > ID_MAX or not identifier.isprintable():
        raise LoginFailed(f"the provider's `sub` is not an id of 1 to {ID_MAX} printable characters")
    return Login(
        id=identifier,
        roles=roles,
        tenant=tenant,
        acr=acr if isinstance(acr, str) else None,
        amr=_texts(claims.get("amr")),
        # Without this claim the age of the login is unknown: it counts as not fresh (RFC 9470).
        auth_time=auth_time if isinstance(auth_time, int) else 0,
        at=int(time.time()),
        issuer=settings.oidc_issuer or "",
    )


def roles_of(settings: Settings, claims: Mapping[str, Any]) -> tuple[tuple[str, ...], str | None]:
    """Return the roles and the tenant that claims give; unknown roles are left out."""
    listed = _texts(claims.get(settings.oidc_roles_claim))
    tenant = claims.get(settings.oidc_tenant_claim)
    roles = (role for role in ROLES if role in listed and role not in {"subject", "operator"})
    return ("subject", *roles), tenant if isinstance(tenant, str) else None


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
