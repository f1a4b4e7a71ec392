"""Recipients on both databases: checked when recorded, approved by another person, no secret in the database."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from factories import World, world
from sqlalchemy import select

from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import reading, writing
from portability.errors import NotAllowed, UnknownExporter, WrongState
from portability.law.countries import Mechanism, needs_human
from portability.requests.policy import Actor
from portability.safe_http import AddressRefused, SafeHttpClient
from portability.transfers import proofs, recipient_removal, recipients
from portability.transfers.age_keys import WeakKey
from portability.transfers.recipients import NotProven, RecipientEntry, UnknownRecipient
from portability.trust import audit

GOOD = SafeHttpClient(resolve=lambda _host, _port: ["93.184.215.14"])
KEY = "age1utud2adcaugyxg24td65nfek7txkjc9lkzzdw3vxqgmnsssk89xsnwq7fy"
VALUES: dict[str, Any] = {
    "name": "Other Care Ltd",
    "domain": "other.example",
    "country": "id",
    "age_key": KEY,
    "jwks_url": "https://keys.other.example/jwks.json",
    "webhook_url": "https://hooks.example/other",
}
ZERO = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z"
"""The point 0, of order 1, with a right checksum."""


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    return world(tmp_path, {}, database_url=control_url)


def entry(**more: Any) -> RecipientEntry:
    return recipients.checked(GOOD, None, **dict(VALUES, **more))


def add(made: World, **more: Any) -> tuple[str, str]:
    with writing(made.engine) as connection:
        settings = made.place.settings
        return recipients.add(connection, settings.keys, entry(**more), actor=Actor("officer", "one"), approved=False)


def test_a_second_person_approves(made: World) -> None:
    """Until then nothing can be sent; the person who recorded it cannot approve it, nor can it be approved twice."""
    identifier, _secret = add(made)
    with writing(made.engine) as connection:
        with pytest.raises(WrongState):
            recipients.approved(connection, identifier)
        with pytest.raises(NotAllowed):
            recipients.approve(connection, identifier, actor=Actor("officer", "one"))
        with pytest.raises(NotProven):
            recipients.approve(connection, identifier, actor=Actor("officer", "two"))
        proofs.record(connection, recipients.get(connection, identifier), actor="officer:one")
        recipients.approve(connection, identifier, actor=Actor("officer", "two"))
        with pytest.raises(WrongState):
            recipients.approve(connection, identifier, actor=Actor("officer", "three"))

        assert recipients.approved(connection, "OTHER.example")["id"] == identifier
        assert [event["action"] for event in audit.events(connection)][-2:] == [
            "recipient.proven",
            "recipient.approved",
        ]


def test_a_removed_recipient_is_none_and_its_domain_is_free_again(made: World) -> None:
    """It stays listed; a new one with its domain is another recipient, with another secret."""
    identifier, secret = add(made)
    with pytest.raises(WrongState):
        add(made)
    with writing(made.engine) as connection:
        recipient_removal.remove(connection, "other.example", actor="officer:two")
        with pytest.raises(UnknownRecipient):
            recipients.get(connection, identifier)
    again, other_secret = add(made)

    with reading(made.engine) as connection:
        states = {row["id"]: recipients.state(row) for row in recipients.rows(connection)}
        assert recipients.rows(connection, approved_only=True) == []
    assert states == {identifier: "removed", again: "waiting"}
    assert secret != other_secret


def test_the_webhook_secret_is_not_in_the_database(made: World) -> None:
    """It is derived from the link key: the same each time, and not readable from the tables."""
    identifier, secret = add(made)
    with reading(made.engine) as connection:
        row = recipients.get(connection, identifier)
        rows = [str(dict(each)) for each in connection.execute(select(models.recipient)).mappings()]
        rows += [str(dict(each)) for each in connection.execute(select(audit.LOG)).mappings()]

    assert recipients.webhook_secret(made.place.settings.keys, row) == secret
    assert not any(secret in row or secret.removeprefix("whsec_") in row for row in rows)


@pytest.mark.parametrize(
    "key",
    [
        *(
            "",
            "age1",
            KEY[:-1],
            KEY[:-1] + ("q" if KEY[-1] != "q" else "p"),
            f"{KEY} {KEY}",
            "A" + KEY[1:].upper() + "q",
        ),
        *("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJlc", "AGE-SECRET-KEY-1" + "Q" * 58, ZERO),
    ],
)
def test_a_weak_or_malformed_key_is_refused(key: str) -> None:
    """A wrong checksum, another kind, a secret key; with a point of small order, any person could decrypt."""
    with pytest.raises(WeakKey) as refused:
        entry(age_key=key)

    assert key == "" or key not in str(refused.value)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"name": " "}, BadInput),
        ({"name": "a\nb"}, BadInput),
        ({"country": "XX"}, BadInput),
        ({"domain": "other.example/x"}, BadInput),
        ({"domain": "other.example:443"}, BadInput),
        ({"jwks_url": "https://another.example/jwks.json"}, AddressRefused),
        ({"jwks_url": "https://notother.example/jwks.json"}, AddressRefused),
        ({"webhook_url": "http://other.example/hook"}, AddressRefused),
        ({"webhook_url": "https://169.254.169.254/latest"}, AddressRefused),
        ({"webhook_url": "https://127.0.0.1/hook"}, AddressRefused),
        ({"mechanism": "trust"}, BadInput),
        ({"mechanism": "adequacy"}, BadInput),
        ({"mechanism": "scc"}, BadInput),
        ({"datasets": []}, BadInput),
        ({"datasets": ["calls/a/b"]}, BadInput),
        ({"datasets": ["nonesuch"]}, UnknownExporter),
    ],
)
def test_what_does_not_hold_is_refused_early(more: Mapping[str, Any], error: type[BadInput]) -> None:
    """Names, countries, grounds, addresses and datasets are looked at before anything is written."""
    with pytest.raises(error):
        entry(**more)


@pytest.mark.parametrize(
    ("country", "mechanism", "home", "holds"),
    [
        ("ID", None, "ID", False),
        ("DE", None, None, False),
        ("JP", "adequacy", None, False),
        ("ID", None, None, True),
        ("US", "consent", "ID", True),
        ("US", "scc", None, False),
        ("US", "binding_rules", None, False),
        ("SG", "none", "ID", True),
    ],
)
def test_a_country_without_adequacy_or_safeguard_holds_for_a_human(
    country: str, mechanism: str | None, home: str | None, *, holds: bool
) -> None:
    """Equal protection, or binding safeguards with their reference; the person's consent alone does not decide."""
    safeguard = "contract 17" if mechanism in {"scc", "binding_rules"} else None
    values = dict(VALUES, country=country, mechanism=mechanism, safeguard=safeguard)
    made = recipients.checked(GOOD, home, **values)

    assert needs_human({name: getattr(made, name) for name in ("country", "mechanism", "safeguard")}, home) is holds
    assert made.mechanism in set(Mechanism)


def test_names_of_datasets_cover_what_they_say() -> None:
    """An exporter with all its datasets, or one dataset of it."""
    assert entry(datasets=["calls", " chats/messages "]).datasets == ("calls", "chats/messages")
    scope = ["calls", "chats/messages"]
    names = [("calls", "x"), ("chats", "messages"), ("chats", "conversations"), ("chats", None), ("calls", None)]
    assert [recipients.covers(scope, *each) for each in names] == [True, True, False, False, True]
    assert recipients.covers(None, "anything", "at_all")
