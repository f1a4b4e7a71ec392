"""A provider's document at its domain, signed here by PyJWT: it records a recipient, and later changes it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pyrage
import pytest
from click.testing import CliRunner, Result
from factories import World
from joserfc.jwk import ECKey
from listener import listening
from stating import DAY, publish, stated
from timed_claims import timed
from transferring import Provider, providing, sending_world

from cli.main import main

Run = Callable[..., Any]
STRANGER = ECKey.generate_key("P-256", {"kid": "their-1", "use": "sig"})
"""A key with the `kid` of the provider's."""
SMALL_ORDER = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqlzggun"


@pytest.fixture
def third() -> Iterator[Provider]:
    with providing() as made:
        yield made


@pytest.fixture
def json_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command with `--json`; returns its answer, or the code of its error."""
    made: World = sending_world(tmp_path)
    monkeypatch.setenv("PORTABILITY_DIR", str(made.folder))

    def call(*arguments: str) -> Any:
        done: Result = CliRunner().invoke(main, [*arguments, "--json"], catch_exceptions=False)
        document = json.loads(done.stdout)
        return document["error"]["code"] if done.exit_code else document

    return call


def discover(json_of: Run, third: Provider) -> Any:
    at = f"{third.server.url}/.well-known/portability"
    return json_of("recipients", "discover", "LocalHost", "--country", "DE", "--url", at)


def refresh(json_of: Run, third: Provider) -> Any:
    return json_of("recipients", "refresh", "localhost", "--url", f"{third.server.url}/.well-known/portability")


@pytest.mark.requirement("R46")
def test_a_document_records_a_recipient_that_has_proven_itself(json_of: Run, third: Provider) -> None:
    """Name, key and addresses are those of the document; the country and the approval are decisions here."""
    publish(third, stated(third))
    made = discover(json_of, third)
    shown = {name: made[name] for name in ("name", "domain", "country", "age_key", "jwks_url", "webhook_url", "state")}
    assert shown == {
        "name": "Other Care",
        "domain": "localhost",
        "country": "DE",
        "age_key": str(third.identity.to_public()),
        "jwks_url": f"{third.server.url}/jwks.json",
        "webhook_url": f"{third.server.url}/hook",
        "state": "approved",
    }
    assert made["proven_at"] is not None
    assert made["webhook_secret"].startswith("whsec_")


def test_a_second_person_approves_it(json_of: Run, third: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control of a domain does not replace the approval."""
    monkeypatch.setenv("PORTABILITY_APPROVALS", "policy")
    publish(third, stated(third))
    at = f"{third.server.url}/.well-known/portability"
    found = json_of("recipients", "discover", "localhost", "--country", "DE", "--url", at, "--as", "officer:one")
    assert found["state"] == "waiting"
    assert json_of("recipients", "approve", "localhost", "--as", "officer:one") == "not_allowed"
    assert json_of("recipients", "approve", "localhost", "--as", "officer:two")["state"] == "approved"


def test_redirect_uris_come_and_change_with_the_document(json_of: Run, third: Provider) -> None:
    """A newer document replaces them, one that says nothing about them keeps them, and an empty list removes them."""
    first, second = third.returns_to, f"{third.server.url}/later"
    publish(third, stated(third, redirect_uris=[first]))
    assert discover(json_of, third)["redirect_uris"] == [first]
    assert refresh(json_of, third)["changed"] is False
    publish(third, stated(third, redirect_uris=[second]))
    changed = refresh(json_of, third)
    assert (changed["changed"], changed["redirect_uris"]) == (True, [second])
    publish(third, stated(third, iat=int(time.time()) + 2))
    silent = refresh(json_of, third)
    assert (silent["changed"], silent["redirect_uris"]) == (False, [second])
    publish(third, stated(third, iat=int(time.time()) + 3, redirect_uris=[]))
    assert refresh(json_of, third)["redirect_uris"] == []


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "another domain": ({"iss": "evil.example"}, "wrong_provider"),
    "keys elsewhere": ({"jwks_url": "https://evil.example/jwks.json"}, "address_refused"),
    "keys in a private network": ({"jwks_url": "https://10.0.0.1/jwks.json"}, "address_refused"),
    "no keys": ({"jwks_url": None}, "wrong_provider"),
    "a webhook in a private network": ({"webhook_url": "https://10.0.0.1/hook"}, "address_refused"),
    "a number as webhook": ({"webhook_url": 7}, "wrong_provider"),
    "a long name": ({"name": "n" * 501}, "wrong_provider"),
    "no name": ({"name": ""}, "wrong_provider"),
    "an unsafe key": ({"age_key": SMALL_ORDER}, "weak_key"),
    "stale": ({"iat": -8 * DAY, "exp": -DAY}, "wrong_provider"),
    "valid for too long": ({"exp": 31 * DAY}, "wrong_provider"),
    "without end": ({"exp": None}, "wrong_provider"),
    "an end that is a text": ({"exp": "2099"}, "wrong_provider"),
    "of tomorrow": ({"iat": DAY, "exp": 2 * DAY}, "clock_skew"),
    "formats of others": ({"formats": ["other/7"]}, "wrong_provider"),
    "formats as a text": ({"formats": "portability/1"}, "wrong_provider"),
    "without time": ({"iat": None}, "wrong_provider"),
    "a redirect elsewhere": ({"redirect_uris": ["https://evil.example/back"]}, "address_refused"),
    "a redirect with a fragment": ({"redirect_uris": ["https://localhost/back#x"]}, "bad_input"),
    "eleven redirects": ({"redirect_uris": ["https://localhost/back"] * 11}, "bad_input"),
    "redirects as a text": ({"redirect_uris": "https://localhost/back"}, "wrong_provider"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_document_records_nothing(json_of: Run, third: Provider, name: str) -> None:
    """Each claim is checked; the error says which."""
    changed, code = WRONG[name]
    publish(third, stated(third, **timed(changed)))
    assert discover(json_of, third) == code
    assert json_of("recipients", "list") == []


def test_a_document_by_another_key_records_nothing(json_of: Run, third: Provider) -> None:
    """Also if it names the kid of the provider's key, or has the type of another statement."""
    publish(third, stated(third), STRANGER)
    assert discover(json_of, third) == "wrong_provider"
    publish(third, stated(third), typ="portability-receipt+jwt")
    assert discover(json_of, third) == "wrong_provider"
    third.server.reply = lambda _heard: (200, {}, b"<html>")
    assert discover(json_of, third) == "wrong_provider"
    third.server.reply = lambda _heard: (404, {}, b"")
    assert discover(json_of, third) == "outside_unavailable"
    assert json_of("recipients", "list") == []


def test_a_document_is_fetched_from_its_domain_only(json_of: Run) -> None:
    """`--url` may name a host below the domain, and no third."""
    at = "https://evil.example/.well-known/portability"
    assert json_of("recipients", "discover", "third.example", "--country", "DE", "--url", at) == "address_refused"


@pytest.mark.requirement("R46")
def test_new_keys_need_the_recorded_key_set(json_of: Run, third: Provider) -> None:
    """A document that the recorded key set has signed changes the key; the same document changes nothing more."""
    publish(third, stated(third))
    discover(json_of, third)
    assert refresh(json_of, third)["changed"] is False
    third.identity = pyrage.x25519.Identity.generate()
    publish(third, stated(third))
    changed = refresh(json_of, third)
    assert (changed["changed"], changed["age_key"]) == (True, str(third.identity.to_public()))
    assert changed["rotated_at"] is not None
    assert refresh(json_of, third)["changed"] is False


@pytest.mark.requirement("R46")
def test_substituted_keys_change_nothing(json_of: Run, third: Provider) -> None:
    """Who has the web server of the domain, and not the signing key, publishes keys of their own."""
    publish(third, stated(third))
    recorded = discover(json_of, third)
    thief = pyrage.x25519.Identity.generate()
    with listening() as elsewhere:
        elsewhere.reply = lambda _heard: (200, {}, orjson.dumps({"keys": [STRANGER.as_dict(private=False)]}))
        mine = {"age_key": str(thief.to_public()), "jwks_url": f"{elsewhere.url}/jwks.json"}
        publish(third, stated(third, **mine), STRANGER)
        assert refresh(json_of, third) == "wrong_provider"
    (row,) = json_of("recipients", "list")
    assert (row["age_key"], row["rotated_at"]) == (recorded["age_key"], None)


@pytest.mark.requirement("R46")
def test_a_hijacked_webhook_changes_nothing(json_of: Run, third: Provider) -> None:
    """A new webhook has to decrypt the challenge: one that only listens does not get the transfers."""
    publish(third, stated(third))
    recorded = discover(json_of, third)
    with listening() as elsewhere:
        publish(third, stated(third, webhook_url=f"{elsewhere.url}/hook"))
        assert refresh(json_of, third) == "not_proven"
        assert [heard.path for heard in elsewhere.heard] == ["/hook"]
    (row,) = json_of("recipients", "list")
    assert row["webhook_url"] == recorded["webhook_url"]


def test_a_document_before_the_last_change_is_refused(json_of: Run, third: Provider) -> None:
    """A copy of an old document cannot bring an old key back, though it has not ended and its key still answers."""
    first = third.identity
    old = stated(third, iat=int(time.time()) - 60)
    publish(third, old)
    discover(json_of, third)
    third.identity = pyrage.x25519.Identity.generate()
    publish(third, stated(third, iat=int(time.time()) + 60))
    assert refresh(json_of, third)["changed"] is True
    third.identity = first
    publish(third, old)
    assert refresh(json_of, third) == "wrong_provider"


def test_only_a_recorded_recipient_is_refreshed(json_of: Run) -> None:
    """An unknown domain is an error of its own."""
    assert json_of("recipients", "refresh", "third.example") == "unknown_recipient"
