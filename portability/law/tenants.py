"""Tenants: how people find the company that decides over their data, and whether a contract obliges us to inform it.

A deployment describes them in a file (PORTABILITY_TENANTS_FILE); docs/referrals.md describes its keys.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path

from portability.api.errors import BadInput

ANY = "*"
"""The name of the table for every tenant that has no table of its own."""
KEYS = frozenset({"name", "contact", "inform"})


class InformGround(StrEnum):
    """Why a tenant is informed that a person asked for data that it decides over."""

    CONSENT = "consent"
    """The person agreed with the request."""
    CONTRACT = "contract"
    """The contract with the tenant obliges us; the person is informed of it first."""


@dataclass(frozen=True, slots=True)
class TenantTerms:
    """What a deployment says about a tenant."""

    name: str | None = None
    contact: str | None = None
    """An address or URL where people reach the tenant about their data."""
    inform: InformGround = InformGround.CONSENT


@dataclass(frozen=True, slots=True)
class Tenants:
    """The tenants of a deployment."""

    tables: Mapping[str, TenantTerms] = field(default_factory=dict)

    def of(self, tenant: str) -> TenantTerms:
        """Return the terms of a tenant."""
        return self.tables.get(tenant, self.tables.get(ANY, TenantTerms()))

    def ground(self, tenant: str, *, agreed: bool) -> InformGround | None:
        """Return why a tenant is informed of a request; `agreed`: by the person. None: it is not informed."""
        if self.of(tenant).inform is InformGround.CONTRACT:
            return InformGround.CONTRACT
        return InformGround.CONSENT if agreed else None

    def has_contract(self, tenant: str | None) -> bool:
        """Return whether a contract obliges us to inform this tenant; None: any tenant."""
        chosen = self.tables.values() if tenant is None else (self.of(tenant),)
        return any(one.inform is InformGround.CONTRACT for one in chosen)

    def named(self, tenant: str) -> str:
        """Return how a page names a tenant: its name and contact, as far as known."""
        terms = self.of(tenant)
        name = terms.name or tenant
        return f"{name} ({terms.contact})" if terms.contact else name


@cache
def load(path: Path | None) -> Tenants:
    """Return the tenants of a file. Raises BadInput with one line that names the file and the table."""
    if path is None:
        return Tenants()
    try:
        tables = tomllib.loads(path.read_text("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:  # its text names the line, and repeats no value
        raise BadInput(f"{path}: invalid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot read the file: {type(error).__name__}") from None
    return Tenants({name: _terms(path, name, table) for name, table in tables.items()})


def _terms(path: Path, name: str, table: object) -> TenantTerms:
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise BadInput(f"{path}: [{name}] must be a table of texts", hint=f"known keys: {', '.join(sorted(KEYS))}")
    if unknown := sorted(table.keys() - KEYS):
        raise BadInput(f"{path}: [{name}] has the unknown key {unknown[0]!r}", hint=f"known: {', '.join(sorted(KEYS))}")
    try:
        inform = InformGround(table.get("inform", InformGround.CONSENT))
    except ValueError:
        raise BadInput(f"{path}: [{name}] has an invalid value of inform", hint="use consent or contract") from None
    if name == ANY and table.keys() - {"inform"}:
        raise BadInput(f'{path}: ["{ANY}"] may only have the key inform', hint="a name belongs to one tenant")
    return TenantTerms(table.get("name"), table.get("contact"), inform)
