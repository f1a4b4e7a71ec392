"""Limits stop who tries, and not the office that shares an address with them."""

from __future__ import annotations

import httpx
from factories import World
from served import OWNER, Served

from portability.database.engine import writing
from portability.requests import exports


def log_in(served: Served, sub: str, *, code: str | None = None) -> httpx.Response:
    """Log in with a new browser, or try to with another code; returns the last answer."""
    served.issuer.person = served.issuer.claims(sub)
    with httpx.Client(base_url=served.url, timeout=30) as client:
        address = httpx.URL(httpx.get(client.get("/login").headers["location"]).headers["location"])
        return client.get(address.copy_set_param("code", code) if code else address)


def cancel_all(made: World, *ids: str) -> None:
    with writing(made.engine) as connection:
        for identifier in ids:
            exports.cancel(connection, identifier, actor="operator:test")


def test_an_office_logs_in(served: Served) -> None:
    """Eighty people behind one address, each with their own account, within five minutes."""
    assert {log_in(served, f"usr_{number}").status_code for number in range(80)} == {303}


def test_answers_that_no_browser_has_begun_lock_no_one_out(served: Served) -> None:
    """Two hundred bare callbacks are refused without being counted: they cost nothing and reach no provider."""
    answers = {httpx.get(f"{served.url}/login/callback?code=x&state=y").status_code for _ in range(200)}
    assert answers == {403}
    assert log_in(served, OWNER).status_code == 303


def test_failed_logins_are_counted(served: Served) -> None:
    """Sixty wrong codes from one address; then nothing is sent to the provider for some minutes."""
    answers = [log_in(served, OWNER, code="forged") for _ in range(62)]
    assert [answer.status_code for answer in answers] == [403] * 60 + [429] * 2
    assert 240 < int(answers[-1].headers["retry-after"]) <= 300
    assert "Too many attempts. Try again in 5 minutes." in answers[-1].text
    assert log_in(served, OWNER).status_code == 429


def test_a_person_has_five_open_requests(served: Served) -> None:
    """Each with another `since`: the sixth is refused with a hint, until one of them ends; colleagues are not."""
    asked = [{"profile": "access", "subject": f"user:{OWNER}", "since": f"2020-01-{day:02}"} for day in range(1, 9)]
    answers = [served.call("POST", "/v1/exports", json=each) for each in asked]
    try:
        assert [answer.status_code for answer in answers] == [201] * 5 + [429] * 3
        assert answers[5].json()["code"] == "too_many_exports"
        assert "5 requests of this subject are open" in answers[5].json()["detail"]
        assert served.call("POST", "/v1/exports", json=asked[0]).status_code == 200
        staff = asked[6] | {"reason": "ticket 7"}
        assert served.call("POST", "/v1/exports", "sam", "staff", json=staff).status_code == 429
        assert served.call("POST", "/v1/exports", "olga", "officer", json=staff).status_code == 201
        other = {"profile": "access", "subject": "user:usr_2"}
        assert served.call("POST", "/v1/exports", "usr_2", json=other).status_code == 201
        ids = [answer.json()["id"] for answer in answers[:5]]
        cancel_all(served.world, *ids[:2])
        assert served.call("POST", "/v1/exports", json=asked[7]).status_code == 201
    finally:
        cancel_all(served.world, *(answer.json()["id"] for answer in answers[2:5]))
