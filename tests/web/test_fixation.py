"""Sessions that were planted, answers that are replayed, and confirmations that are used for something else."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from served import CONTACT, OTHER, OWNER, TENANT, Browser, Served

from portability.errors import DatabaseUnavailable

COOKIE = "portability"


def cookie_of(client: httpx.Client) -> str:
    """The cookie as the browser would send it; a browser has one."""
    (cookie,) = [cookie for cookie in client.cookies.jar if cookie.name == COOKIE]
    return str(cookie.value)


def content_of(cookie: str) -> dict[str, Any]:
    """What is in a cookie: it is signed, and not encrypted."""
    content: dict[str, Any] = json.loads(base64.b64decode(cookie.partition(".")[0] + "=="))
    return content


def with_cookie(served: Served, cookie: str) -> httpx.Client:
    """A browser that has this cookie."""
    return httpx.Client(base_url=served.url, headers={"Cookie": f"{COOKIE}={cookie}"}, timeout=30)


def callback(client: httpx.Client) -> str:
    """Begin a login, and return the address to which the provider sends the browser."""
    return httpx.get(client.get("/login").headers["location"]).headers["location"]


def step_up(served: Served, visitor: Browser, sub: str = OWNER) -> httpx.Response:
    served.issuer.person = served.issuer.claims(sub)
    return visitor.client.get("/login", params={"next": "/me", "again": "1"}, follow_redirects=True)


@pytest.mark.parametrize("planted", ["a value of their own", "a visitor's", "another person's", "an earlier one"])
def test_a_planted_cookie_is_never_the_session(served: Served, planted: str) -> None:
    """The login gives a new token and a new form token; who planted the cookie has no session, and forges no form."""
    with served.browser(None) as visitor, served.browser(OTHER) as other, served.browser(OWNER) as earlier:
        visitor.token()
        values = {
            "a value of their own": "A" * 64,
            "a visitor's": cookie_of(visitor.client),
            "another person's": cookie_of(other.client),
            "an earlier one": cookie_of(earlier.client),
        }
    served.issuer.person = served.issuer.claims(OWNER)
    with httpx.Client(base_url=served.url, timeout=30) as victim, with_cookie(served, values[planted]) as attacker:
        victim.cookies.set(COOKIE, values[planted], domain="127.0.0.1", path="/")
        assert victim.get("/login", follow_redirects=True).url.path == "/me"
        assert victim.get("/me").status_code == 200
        begun = content_of(cookie_of(victim))
        known = {} if planted == "a value of their own" else content_of(values[planted])
        assert not {begun["login"], begun["csrf"]} & {str(value) for value in known.values()}
        assert attacker.get("/me").status_code == 303
        assert attacker.get("/v1/exports").status_code == 401
        forged = victim.post("/me/exports", data={"profile": "access", "csrf": known.get("csrf", "x")})
        assert forged.status_code == 403


def test_a_cookie_keeps_nothing_of_an_earlier_visit(served: Served) -> None:
    """What was there before a login is gone after it, and a logout leaves no trace but the token of the next form."""
    link = served.link(served.ready(f"contact:{CONTACT}", tenant=TENANT), audience="code")
    with served.browser() as visitor:
        visitor.send(f"/d/{link.token}/code", page=f"/d/{link.token}")
        assert content_of(cookie_of(visitor.client)).keys() == {"sent", "flash", "csrf"}
        served.issuer.person = served.issuer.claims(OWNER)
        visitor.client.get("/login", follow_redirects=True)
        assert content_of(cookie_of(visitor.client)).keys() == {"login", "csrf"}
        visitor.send("/logout")
        assert content_of(cookie_of(visitor.client)).keys() == {"csrf"}


@pytest.mark.parametrize("sub", [OWNER, OTHER])
def test_a_second_login_begins_another_session(served: Served, sub: str) -> None:
    """A copy of the cookie from before the step-up is worthless, also if another person logs in."""
    with served.browser(OWNER, strong=False) as visitor:
        before = cookie_of(visitor.client)
        visitor.send("/me/exports", page="/me", profile="access", since="2026-01-03")
        assert step_up(served, visitor, sub).status_code == 200
        after = content_of(cookie_of(visitor.client))
        assert after["login"] != content_of(before)["login"]
        assert after["csrf"] != content_of(before)["csrf"]
        with with_cookie(served, before) as thief:
            assert thief.get("/me").status_code == 303
            assert thief.get("/login/continue").headers["location"].startswith("/login?")


def test_an_answer_is_used_once_also_with_the_cookie_as_it_was(served: Served) -> None:
    """A copy of the cookie that began the login does not make the provider's answer valid again."""
    served.issuer.person = served.issuer.claims(OWNER)
    with httpx.Client(base_url=served.url, timeout=30) as client:
        address = callback(client)
        with with_cookie(served, cookie_of(client)) as thief:
            assert client.get(address).headers["location"] == "/me"
            assert thief.get(address).status_code == 403
            assert thief.get("/me").status_code == 303


def test_an_answer_is_of_the_browser_that_began(served: Served) -> None:
    """Two browsers have begun a login, and each gets the answer of the other: neither is logged in."""
    served.issuer.person = served.issuer.claims(OTHER)
    with httpx.Client(base_url=served.url) as attacker, httpx.Client(base_url=served.url) as victim:
        answers = [callback(attacker), callback(victim)]
        assert [victim.get(answers[0]).status_code, attacker.get(answers[1]).status_code] == [403, 403]
        # The attempt has ended: the right answer comes too late.
        assert victim.get(answers[1]).status_code == 403
        assert [each.get("/me").status_code for each in (attacker, victim)] == [303, 303]


def test_a_token_of_another_login_is_refused(served: Served) -> None:
    """The provider answers with an ID token that it made for an earlier login of this browser: its nonce is old."""
    served.issuer.person = served.issuer.claims(OWNER)
    with httpx.Client(base_url=served.url) as client:
        callback(client)
        old = served.issuer.asked["nonce"]
        address = callback(client)
        for query in served.issuer.codes.values():
            query["nonce"] = old
        assert client.get(address).status_code == 403
        assert client.get("/me").status_code == 303


@pytest.mark.parametrize("by", ["sid", "sub"])
def test_a_logout_token_ends_no_later_session(served: Served, by: str) -> None:
    """Replayed after the person has logged in again, it changes nothing; a new one ends the session."""
    with served.browser(OWNER, sid="sid-of-the-provider") as first:
        named = {"sid": "sid-of-the-provider"} if by == "sid" else {"sub": OWNER}
        tokens = [served.issuer.logout_token(**named) for _ in range(2)]
        answers = []
        with served.browser(OWNER, sid="sid-of-the-provider") as second:
            for token in (tokens[0], tokens[0], tokens[1]):
                answers.append(httpx.post(f"{served.url}/login/backchannel", data={"logout_token": token}).status_code)
                if len(answers) == 1:
                    assert [each.client.get("/me").status_code for each in (first, second)] == [303, 303]
                    served.issuer.person = served.issuer.claims(OWNER, sid="sid-of-the-provider")
                    second.client.get("/login", follow_redirects=True)
                expected = 303 if len(answers) == 3 else 200
                assert second.client.get("/me").status_code == expected
        assert answers == [200, 200, 200]


def test_a_logout_token_that_met_a_fault_is_not_used_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider sends it again, and then it ends the session."""

    def fail(*_arguments: object) -> None:
        raise DatabaseUnavailable("gone")

    with served.browser(OWNER) as visitor:
        form = {"logout_token": served.issuer.logout_token(sub=OWNER)}
        with monkeypatch.context() as patch:
            patch.setattr("web.sessions.sessions.end", fail)
            assert httpx.post(f"{served.url}/login/backchannel", data=form).status_code == 503
        assert visitor.client.get("/me").status_code == 200
        assert httpx.post(f"{served.url}/login/backchannel", data=form).status_code == 200
        assert visitor.client.get("/me").status_code == 303


def test_a_confirmed_download_is_of_one_export(served: Served) -> None:
    """The second login for one link opens neither the link of another export nor another action on the same."""
    first, second = served.ready(), served.ready(since="2021-01-01")
    pages = [f"/d/{served.link(each).token}" for each in (first, second)]
    with served.browser(OWNER, strong=False) as visitor:
        assert visitor.send(f"{pages[0]}/volumes/1", page=pages[0]).status_code == 401
        step_up(served, visitor)
        assert visitor.send(f"{pages[0]}/volumes/1", page=pages[0]).status_code == 303
        assert visitor.send(f"/me/exports/{first}/volumes/1").status_code == 303
        assert visitor.send(f"{pages[1]}/volumes/1", page=pages[1]).status_code == 401
        assert visitor.send(f"/me/exports/{second}/volumes/1").status_code == 401
        headers = {"X-CSRF-Token": visitor.token("/me")}
        answer = visitor.client.post(f"/v1/exports/{first}/links", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "step_up_required")
