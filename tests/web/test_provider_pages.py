"""An officer enters a domain, sees what its signed document says, and records or refuses the provider."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pyrage
import pytest
from factories import MadeUpExporter, things
from sending import sender
from served import Browser, Served
from sqlalchemy import select
from stating import publish, stated
from transferring import Provider, providing

from portability.database import models
from portability.database.engine import reading
from portability.transfers import age_keys, recipients

SEEN = re.compile(r'name="seen" value="([0-9a-f]{64})"')
GROUND = {"country": "DE", "datasets": "calls"}


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    strict: dict[str, Any] = {"approvals": "policy"}
    with sender(tmp_path_factory.mktemp("providers"), redis_server, MadeUpExporter(things(5)), **strict) as server:
        yield server


@pytest.fixture
def third(served: Served) -> Iterator[Provider]:
    """A provider with a document, a retired key and a revoked key. It is not recorded."""
    with providing() as made:
        _forget(served)
        more = [{**made.key.as_dict(private=False), "kid": name} for name in ("their-0", "stolen-1")]
        more[0]["retired_at"], more[1]["revoked_at"] = "2026-01-02T03:04:05Z", "2026-02-03T04:05:06Z"
        usual = made.jwks
        made.jwks = lambda: {"keys": [*more, *usual()["keys"]]}  # type: ignore[method-assign]  # another key set
        publish(made, stated(made, resource="https://data.localhost", redirect_uris=[made.returns_to]))
        yield made


def _forget(served: Served) -> None:
    """Remove recipients of earlier tests: the domain of all is `localhost`."""
    with served.world.engine.begin() as connection:
        connection.execute(models.recipient.delete())


def stated_at(third: Provider) -> dict[str, str]:
    return {"domain": "LocalHost", "url": f"{third.server.url}/.well-known/portability"}


def discovered(visitor: Browser, third: Provider) -> httpx.Response:
    """The page with what the document says."""
    answer = visitor.send("/staff/recipients/discover", **stated_at(third))
    assert answer.status_code == 200, answer.text
    return answer


def decided(visitor: Browser, third: Provider, answer: str, **more: str) -> httpx.Response:
    """What follows an officer's answer on the page of a document."""
    found = SEEN.search(discovered(visitor, third).text)
    assert found
    sent = {**stated_at(third), "seen": found[1], "answer": answer, **GROUND, **more}
    return visitor.send("/staff/recipients/discovered", **sent)


def known(served: Served) -> list[dict[str, Any]]:
    with reading(served.world.engine) as connection:
        return [recipients.view(row) for row in recipients.rows(connection)]


def refused_events(served: Served) -> list[Any]:
    log = models.audit_event
    with reading(served.world.engine) as connection:
        return list(connection.scalars(select(log.c.detail).where(log.c.action == "recipient.refused")))


def test_an_officer_sees_what_the_document_says(served: Served, third: Provider) -> None:
    """Keys with their validity, inbox, formats, the fingerprint; nothing is recorded yet."""
    with served.browser("olga", "officer") as visitor:
        page = html.unescape(discovered(visitor, third).text)
    for text in (
        age_keys.fingerprint(str(third.identity.to_public())),
        f"{third.server.url}/hook",
        "https://data.localhost",
        third.returns_to,
        "portability/1",
        "Valid until",
        "their-1",
        "Retired",
        "Revoked",
    ):
        assert text in page
    assert page.index("their-1") < page.index("their-0") < page.index("stolen-1")
    assert known(served) == []


def test_a_provider_is_recorded_after_the_second_question(served: Served, third: Provider) -> None:
    """The first answer asks again, the second records and challenges; another officer approves, asked twice too."""
    with served.browser("olga", "officer") as visitor:
        asked = decided(visitor, third, "record")
        assert (asked.status_code, "Record Other Care as a recipient?" in asked.text) == (200, True)
        assert known(served) == []

        done = decided(visitor, third, "record", confirmed="yes")

        assert (done.status_code, "whsec_" in done.text) == (200, True)
        (row,) = known(served)
        assert (row["domain"], row["datasets"], row["state"]) == ("localhost", ["calls"], "waiting")
        assert (row["redirect_uris"], row["proven_at"] is not None) == ([third.returns_to], True)
        here = f"/staff/recipients/{row['id']}"
        assert visitor.send(f"{here}/approve").status_code == 403
    with served.browser("otto", "officer") as visitor:
        sure = visitor.send(f"{here}/approve")
        assert (sure.status_code, str(row["fingerprint"]) in sure.text) == (200, True)
        assert known(served)[0]["state"] == "waiting"
        assert visitor.send(f"{here}/approve", confirmed="yes").status_code == 303
        assert known(served)[0]["state"] == "approved"
        assert "Remove Other Care?" in visitor.send(f"{here}/remove").text
        assert known(served)[0]["state"] == "approved"
        assert visitor.send(f"{here}/remove", confirmed="yes").status_code == 303
        assert known(served)[0]["state"] == "removed"


def test_a_refusal_is_in_the_log(served: Served, third: Provider) -> None:
    """Asked twice too; the event has the fingerprint, and nothing else is kept."""
    before = len(refused_events(served))
    with served.browser("olga", "officer") as visitor:
        assert "Refuse Other Care?" in decided(visitor, third, "refuse", country="").text
        assert len(refused_events(served)) == before
        assert decided(visitor, third, "refuse", confirmed="yes").status_code == 303
        assert "The provider is refused." in visitor.client.get("/staff/recipients").text
    (event,) = refused_events(served)[before:]
    assert event["fingerprint"] == age_keys.fingerprint(str(third.identity.to_public()))
    assert event.keys() == {"fingerprint", "issuer"}
    assert known(served) == []


def test_what_is_recorded_is_what_was_shown(served: Served, third: Provider) -> None:
    """A document with another key since is shown again; one that is only signed anew is the same."""
    with served.browser("olga", "officer") as visitor:
        found = SEEN.search(discovered(visitor, third).text)
        assert found
        third.identity = pyrage.x25519.Identity.generate()
        publish(third, stated(third))
        sent = {**stated_at(third), "seen": found[1], "answer": "record", **GROUND, "confirmed": "yes"}
        answer = visitor.send("/staff/recipients/discovered", **sent)
        assert (answer.status_code, "has changed since you saw it" in answer.text) == (400, True)
        assert known(served) == []
        assert decided(visitor, third, "record", country="").status_code == 400
        for wrong in ({"mechanism": "scc"}, {"datasets": "secrets"}, {"country": "XX"}):
            answer = decided(visitor, third, "record", **wrong)
            assert (answer.status_code, "Check the legal ground" in answer.text) == (400, True)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another domain": ({"iss": "evil.example"}, "no document that is valid"),
    "stale": ({"exp": 1}, "no document that is valid"),
    "keys elsewhere": ({"jwks_url": "https://evil.example/jwks.json"}, "The address is not allowed"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_document_is_shown_as_a_fault(served: Served, third: Provider, name: str) -> None:
    """The form comes again with the domain and what to do."""
    changed, sentence = WRONG[name]
    publish(third, stated(third, **changed))
    with served.browser("olga", "officer") as visitor:
        answer = visitor.send("/staff/recipients/discover", **stated_at(third))
    assert (answer.status_code, sentence in answer.text) == (400, True)
    assert 'value="LocalHost"' in answer.text
    assert 'aria-invalid="true"' in answer.text


def test_only_officers_discover(served: Served, third: Provider) -> None:
    """Staff and people get 403, and no request leaves this server."""
    for who, role in (("sam", "staff"), ("audrey", "auditor")):
        with served.browser(who, role) as visitor:
            for path in ("discover", "discovered"):
                sent = {**stated_at(third), "seen": "x", "answer": "record"}
                assert visitor.send(f"/staff/recipients/{path}", **sent).status_code == 403
    assert third.server.heard == []
