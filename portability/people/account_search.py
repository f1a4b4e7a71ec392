"""Finds the accounts that have proved an address, for people who work on requests: no record of them is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from portability.api import Exporter, Subject, SubjectKind
from portability.api.nouns import first_identity
from portability.people import addresses
from portability.people.identity_graph import owners
from portability.people.resolution import Unresolved

ACCOUNTS_MAX = 20
"""An address of more accounts, such as that of an office, does not tell which of them is meant."""


@dataclass(frozen=True, slots=True)
class FoundAccounts:
    """What the sources know of a text that may be an address."""

    addresses: tuple[tuple[SubjectKind, str], ...] = ()
    """The text as an address of each kind, in its normal form; empty for another text."""
    accounts: tuple[str, ...] = ()
    """Ids of account holders, in order; at most ACCOUNTS_MAX."""
    left_out: int = 0
    """Further account holders."""
    unresolved: tuple[str, ...] = ()
    """Sources that did not answer."""


def of_text(text: str, exporters: Mapping[str, Exporter]) -> FoundAccounts:
    """Ask each source for the accounts that have proved the address that a text is; a text without an address: none."""
    known = {SubjectKind.EMAIL: addresses.email(text), SubjectKind.PHONE: addresses.phone(text)}
    forms = tuple((kind, form) for kind, form in known.items() if form)
    accounts: set[str] = set()
    unresolved: dict[str, Unresolved] = {}
    for kind, form in forms:
        asked = Subject(kind, None, "", (first_identity(kind, form, None),))
        for _name, found in owners(asked, exporters, _ask, unresolved):
            accounts |= found
    named, more = sorted(accounts)[:ACCOUNTS_MAX], max(0, len(accounts) - ACCOUNTS_MAX)
    return FoundAccounts(forms, tuple(named), more, tuple(sorted(unresolved)))


def _ask(_name: str, call: Callable[[], object]) -> object:
    return call()
