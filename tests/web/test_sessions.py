"""Sessions: they end when they should, everywhere, and roles are those of now."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import httpx
import itsdangerous.timed
import pytest
from served import OWNER, TENANT, Browser, Served
from sqlalchemy import select
from timed_claims import timed
from wrong_clocks import set_wrong

from portability.database import models
from portability.database.engine import reading
from portability.trust import audit
from web import cookies
from web import sessions as page_sessions
from web.pages import login

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile/15E148 Safari/604.1"


@pytest.fixture(autouse=True)
def _provider_as_usual(served: Served) -> Iterator[None]:
    yield
    served.issuer.publishes_roles, served.issuer.is_away = True, False


def stored_sessions(served: Served) -> list[dict[str, Any]]:
    with reading(served.world.engine) as connection:
        return [dict(row) for row in connection.execute(select(models.session)).mappings()]


def copied(served: Served, visitor: Browser) -> httpx.Client:
    """Another browser with a copy of the cookie."""
    return httpx.Client(base_url=served.url, cookies=dict(visitor.client.cookies), timeout=30)


def test_a_copied_cookie_is_worthless_after_the_logout(served: Served) -> None:
    """An attacker who kept it can neither read pages nor ask for an export."""
    with served.browser(OWNER) as visitor, copied(served, visitor) as thief:
        assert thief.get("/me").status_code == 200
        token = Browser(thief).token("/me")
        visitor.send("/logout")
        assert thief.get("/me").status_code == 303
        assert thief.get("/v1/exports").status_code == 401
        answer = thief.post("/v1/exports", json={"profile": "access"}, headers={"X-CSRF-Token": token})
        assert (answer.status_code, answer.json()["code"]) == (401, "not_logged_in")


def test_a_logout_leads_to_the_provider(served: Served) -> None:
    """OpenID Connect RP-Initiated Logout: with the ID token as hint, and back to the start page."""
    with served.browser(OWNER) as visitor:
        page = visitor.send("/logout")
        url = httpx.URL(page.headers["refresh"].removeprefix("0; url="))
        assert (page.status_code, url.path) == (200, "/logout")
        assert url.params["post_logout_redirect_uri"] == f"{served.url}/"
        assert url.params["client_id"] == "portability-pages"
        payload = url.params["id_token_hint"].split(".")[1]
        assert OWNER.encode() in base64.urlsafe_b64decode(payload + "==")


def test_log_out_everywhere(served: Served) -> None:
    """All sessions of the person end, and those of others do not."""
    with (
        served.browser(OWNER) as first,
        served.browser(OWNER) as second,
        served.browser("usr_other") as other,
    ):
        assert second.send("/me/sessions/end", page="/me/sessions").status_code == 303
        assert [each.client.get("/me").status_code for each in (first, second, other)] == [303, 303, 200]


def test_a_person_sees_their_sessions_and_ends_one(served: Served) -> None:
    """With device and times; another person's session is out of reach, and the answer does not differ."""
    with served.browser(OWNER) as old:
        old.send("/me/sessions/end", page="/me/sessions")
    with served.browser("usr_other") as other, httpx.Client(base_url=served.url, timeout=30) as phone:
        served.issuer.person = served.issuer.claims(OWNER)
        phone.headers["user-agent"] = PHONE
        phone.get("/login", follow_redirects=True)
        with httpx.Client(base_url=served.url, headers={"user-agent": FIREFOX}, timeout=30) as desktop:
            desktop.get("/login", follow_redirects=True)
            page = desktop.get("/me/sessions").text
            assert page.index("Firefox · Linux") < page.index("Safari · iPhone")
            assert page.count('action="/me/sessions/ses_') == 2
            ids = re.findall(r'action="/me/sessions/(ses_[0-9a-f]{20})/end"', page)
            answer = other.send(f"/me/sessions/{ids[1]}/end", page="/me/sessions")
            assert answer.status_code == 303
            assert phone.get("/me").status_code == 200
            Browser(desktop).send(f"/me/sessions/{ids[1]}/end", page="/me/sessions")
            assert [phone.get("/me").status_code, desktop.get("/me").status_code] == [303, 200]


def test_the_database_does_not_say_who_is_logged_in(served: Served) -> None:
    """Nor has it a token that works: no value of a row occurs in the cookie, and no id in a row."""
    with served.browser("usr_secret_person") as visitor:
        cookie = visitor.client.cookies["portability"]
        content = base64.b64decode(cookie.split(".")[0] + "==").decode()
        for row in stored_sessions(served):
            assert "usr_secret_person" not in str(row)
            assert not any(str(value) in content for value in row.values() if value and len(str(value)) > 12)
        assert "usr_secret_person" not in content


@pytest.mark.parametrize("by", ["sid", "sub"])
def test_the_provider_ends_sessions(served: Served, by: str) -> None:
    """Back-channel logout: of one session by `sid`, of the person by `sub`; a repeated token changes nothing."""
    with served.browser(OWNER) as first, served.browser(OWNER) as second, served.browser("usr_other") as other:
        begun = [claims["sid"] for claims in served.issuer.sessions.values() if claims["sub"] == OWNER]
        token = served.issuer.logout_token(**({"sid": begun[-1]} if by == "sid" else {"sub": OWNER}))
        answers = [httpx.post(f"{served.url}/login/backchannel", data={"logout_token": token}) for _ in range(2)]
        assert [(answer.status_code, answer.headers["cache-control"]) for answer in answers] == [(200, "no-store")] * 2
        states = [each.client.get("/me").status_code for each in (first, second, other)]
        assert states == ([200, 303, 200] if by == "sid" else [303, 303, 200])


BAD_LOGOUTS: dict[str, dict[str, Any]] = {
    "with a nonce": {"nonce": "n"},
    "no event": {"events": {}},
    "an event of another kind": {"events": {"http://schemas.openid.net/event/other": {}}},
    "of no one": {"sub": None},
    "without an id": {"jti": None},
    "with an id that is no text": {"jti": 7},
    "another audience": {"aud": "another-client"},
    "another issuer": {"iss": "https://elsewhere.example"},
    "old": {"iat": -3600, "exp": None},
    "expired": {"exp": -60},
}


@pytest.mark.parametrize("fault", BAD_LOGOUTS)
def test_a_token_that_is_no_logout_token_ends_nothing(served: Served, fault: str) -> None:
    """OpenID Connect Back-Channel Logout 1.0, 2.6: each check refuses it."""
    with served.browser(OWNER) as visitor:
        token = served.issuer.logout_token(**{"sub": OWNER, **timed(BAD_LOGOUTS[fault])})
        answer = httpx.post(f"{served.url}/login/backchannel", data={"logout_token": token})
        assert answer.status_code == 403
        assert visitor.client.get("/me").status_code == 200


def test_an_id_token_is_no_logout_token(served: Served) -> None:
    """Who has a person's ID token cannot end their sessions with it."""
    with served.browser(OWNER) as visitor:
        token = served.issuer.signed(served.issuer.claims(OWNER, aud="portability-pages"), typ="JWT")
        assert httpx.post(f"{served.url}/login/backchannel", data={"logout_token": token}).status_code == 403
        assert visitor.client.get("/me").status_code == 200


def test_roles_are_those_of_now(served: Served) -> None:
    """An officer whose role was taken away decides nothing any more, in the session that is still open."""
    with served.browser("olga", "officer") as visitor:
        token = visitor.token("/staff")
        headers = {"X-CSRF-Token": token}
        assert visitor.client.post("/v1/exports/aaaaaaaaaaaaaaaaaaaaaaaa/approve", headers=headers).status_code == 404
        assert visitor.client.get("/v1/requests").status_code == 200
        for claims in served.issuer.sessions.values():
            claims["roles"] = []
        assert visitor.client.post("/v1/recipients", json={}, headers=headers).status_code in {403, 422}
        assert visitor.client.get("/v1/requests").status_code == 403


def test_who_is_no_administrator_any_more_downloads_nothing(served: Served) -> None:
    """The role is read again before the download of a company's archive, also on the page of the link."""
    link = served.link(served.ready(f"tenant:{TENANT}", profile="switch"), audience="tenant_admin")
    path = link.url("")
    with served.browser("adm", "tenant_admin", tenant=TENANT) as visitor:
        assert visitor.send(f"{path}/volumes/1", page=path).status_code == 303
        token = visitor.token(path)
        for claims in served.issuer.sessions.values():
            claims["roles"] = []
        assert visitor.client.post(f"{path}/volumes/1", data={"csrf": token}).status_code == 404


def test_a_login_may_end_on_a_machine_whose_clock_is_behind(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two machines answer one browser, and their clocks differ by seconds: the login succeeds at once."""
    served.issuer.person = served.issuer.claims(OWNER)
    with httpx.Client(base_url=served.url) as client:
        with monkeypatch.context() as ahead:
            set_wrong(ahead, login, itsdangerous.timed, cookies, seconds=20)
            begun = client.get("/login", params={"next": "/me"})
        back = client.get(httpx.get(begun.headers["location"]).headers["location"])
        assert (back.status_code, back.headers.get("location")) == (303, "/me")


def test_a_cookie_of_a_machine_that_is_ahead_counts(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has just logged in there is logged in here, and a cookie that is too old counts nowhere."""
    for seconds, status in ((20, 200), (-40 * 86_400, 303)):
        with monkeypatch.context() as wrong:
            set_wrong(wrong, itsdangerous.timed, cookies, seconds=seconds)
            with served.browser(OWNER) as visitor:
                wrong.undo()
                assert visitor.client.get("/me").status_code == status


def test_a_clock_that_is_ahead_keeps_no_role(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a machine has read whose clock is a day ahead is read again by the others, as soon as ever."""
    with monkeypatch.context() as ahead:
        set_wrong(ahead, page_sessions, days=1)
        with served.browser("olga", "officer") as visitor:
            assert visitor.client.get("/v1/requests").status_code == 200
            ahead.undo()
            for claims in served.issuer.sessions.values():
                claims["roles"] = []
            assert visitor.client.get("/v1/requests").status_code == 403


def test_a_login_that_the_provider_ended_is_over(served: Served) -> None:
    """Its access token is refused: the next decision of staff asks to log in again."""
    with served.browser("olga", "officer") as visitor:
        token = visitor.token("/staff")
        served.issuer.sessions.clear()
        answer = visitor.client.post("/v1/exports/aaaaaaaaaaaaaaaaaaaaaaaa/approve", headers={"X-CSRF-Token": token})
        assert (answer.status_code, answer.json()["code"]) == (401, "not_logged_in")
        assert visitor.client.get("/staff").status_code == 303


def test_a_provider_that_is_away_permits_no_decision(served: Served) -> None:
    """It is not known whether the role still exists: nothing is decided, and people keep their own pages."""
    with served.browser("olga", "officer") as officer, served.browser(OWNER) as person:
        token = officer.token("/staff")
        served.issuer.is_away = True
        answer = officer.client.post("/v1/exports/aaaaaaaaaaaaaaaaaaaaaaaa/approve", headers={"X-CSRF-Token": token})
        assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
        assert person.client.get("/me").status_code == 200


def test_a_provider_without_roles_at_userinfo(served: Served) -> None:
    """Then those of the ID token count."""
    served.issuer.publishes_roles = False
    with served.browser("olga", "officer") as visitor:
        served.issuer.sessions.clear()
        assert visitor.client.get("/v1/requests").status_code == 200


def test_a_provider_that_lets_the_client_ask_for_no_roles(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses the access token at its UserInfo endpoint: people can log in, with the roles of the ID token."""
    monkeypatch.setattr(type(served.issuer), "user_info", lambda *_arguments: None)
    with served.browser("olga", "officer") as visitor:
        assert visitor.client.get("/v1/requests").status_code == 200
        headers = {"X-CSRF-Token": visitor.token("/staff")}
        assert visitor.client.post("/v1/exports/aaaaaaaaaaaaaaaaaaaaaaaa/approve", headers=headers).status_code == 404


@pytest.mark.parametrize("answer", [{"sub": "usr_other", "roles": ["officer"]}, {"roles": ["officer"]}, ["officer"]])
def test_an_answer_about_another_person_gives_no_role(
    served: Served, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    """OpenID Connect Core, 5.3.2: `sub` must be that of the ID token, else nothing of the answer is used."""
    monkeypatch.setattr(type(served.issuer), "user_info", lambda *_arguments: answer)
    served.issuer.person = served.issuer.claims(OWNER)
    with httpx.Client(base_url=served.url) as client:
        assert client.get("/login", follow_redirects=True).status_code == 403
        assert client.get("/me").status_code == 303


def stepped_up(served: Served, visitor: Browser, sub: str, *roles: str) -> httpx.Response:
    """Log in again as the page of a step-up asks for."""
    served.issuer.person = served.issuer.claims(sub, *roles)
    return visitor.client.get("/login", params={"next": "/me", "again": "1"}, follow_redirects=True)


def test_a_step_up_keeps_the_form_and_is_for_one_action(served: Served) -> None:
    """The form is sent with one button; another action asks again, and the first login stays weak."""
    with served.browser(OWNER, strong=False) as visitor:
        refused = visitor.send("/me/exports", page="/me", profile="access", since="2026-01-02", formats=["jsonl"])
        assert refused.status_code == 401
        page = stepped_up(served, visitor, OWNER)
        assert page.url.path == "/login/continue"
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text.split("<main")[1]))
        assert (fields["profile"], fields["since"], fields["formats"]) == ("access", "2026-01-02", "jsonl")
        made = visitor.client.post(re.findall(r'action="(/me/exports[^"]*)"', page.text)[0], data=fields)
        assert made.status_code == 303
        export_id = made.headers["location"].rsplit("/", 1)[1]
        headers = {"X-CSRF-Token": fields["csrf"]}
        answer = visitor.client.post(f"/v1/exports/{export_id}/links", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "step_up_required")
        # The form was shown once.
        assert visitor.client.get("/login/continue").headers["location"] == "/me"


def test_a_step_up_of_another_person_gets_no_form(served: Served) -> None:
    """What one person had filled in is not shown to the next, and their session is over."""
    with served.browser(OWNER, strong=False) as visitor:
        visitor.send("/me/exports", page="/me", profile="access", since="2026-01-02")
        page = stepped_up(served, visitor, "usr_other")
        assert page.url.path == "/me"
        assert "2026-01-02" not in visitor.client.get("/login/continue", follow_redirects=True).text


def test_the_log_has_logins_and_logouts(served: Served) -> None:
    """By role for staff, by pseudonym for people."""
    with served.browser("olga", "officer") as officer, served.browser(OWNER) as person:
        officer.send("/logout")
        person.send("/logout")
    with reading(served.world.engine) as connection:
        events = [(event["action"], event["actor"]) for event in audit.events(connection)][-4:]
    assert [action for action, _actor in events] == ["session.begun", "session.begun", "session.ended", "session.ended"]
    assert events[0][1] == events[2][1] == "officer:olga"
    assert events[1][1] == events[3][1]
    assert events[1][1].startswith("subject:sub_")
