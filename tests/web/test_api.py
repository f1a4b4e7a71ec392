"""The API as a program uses it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from served import CONTACT, OTHER, OWNER, TENANT, Served
from wrong_clocks import set_wrong

from portability import locale
from portability.database.engine import reading, writing
from portability.requests import acceptance, exports, mandates
from portability.retention import erasures, legal_holds
from portability.retention.erasures import Whom
from portability.trust import metrics_tokens
from web import asking

ASK = {"profile": "access", "subject": f"user:{OWNER}"}


@pytest.mark.requirement("R11")
def test_a_person_asks_watches_and_cancels(served: Served) -> None:
    """201 with its address; looked at by ETag; cancelled, twice without an error."""
    asked = served.call("POST", "/v1/exports", json=ASK)
    assert asked.status_code == 201
    address = asked.headers["location"]
    seen = served.call("GET", address)
    assert seen.json()["state"] == "queued"
    again = served.call("GET", address, headers={"If-None-Match": seen.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert [served.call("POST", f"{address}/cancel").json()["state"] for _ in range(2)] == ["cancelled"] * 2


@pytest.mark.parametrize("days", [-40, 40])
def test_a_wrong_clock_of_a_machine_moves_no_due_date(
    served: Served, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """A request is received, made and due by the clock of the database, whichever machine takes it."""
    set_wrong(monkeypatch, acceptance, asking, days=days)
    asked = served.call("POST", "/v1/exports", json=ASK).json()
    present = datetime.now(UTC)
    with reading(served.world.engine) as connection:
        row = exports.get(connection, asked["id"])
    for name in ("created_at", "received_at"):
        assert abs(row[name] - present) < timedelta(minutes=5), name
    assert timedelta(days=1) < row["due_at"] - present < timedelta(days=35)
    served.call("POST", f"/v1/exports/{asked['id']}/cancel")


def test_asking_twice_is_answered_with_the_same_export(served: Served) -> None:
    """The same request, still open, is 200 with the export that there is."""
    first, second = (served.call("POST", "/v1/exports", json=ASK) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    served.call("POST", f"/v1/exports/{first.json()['id']}/cancel")


def test_a_request_during_an_erasure_is_refused_with_its_reason(served: Served) -> None:
    """409 as documented; the page says what is going on, because reloading it changes nothing."""
    person = "usr_erased"
    with writing(served.world.engine) as connection:
        whom = Whom("user", person, None)
        erasures.begin(connection, whom, reason="ticket 7", actor="officer:olga")
    refused = served.call("POST", "/v1/exports", person, json={"profile": "access", "subject": f"user:{person}"})
    assert (refused.status_code, refused.json()["code"]) == (409, "erasure_running")
    with served.browser(person) as visitor:
        page = visitor.send("/me/exports", page="/me", profile="access", formats="jsonl")
    assert page.status_code == httpx.codes.CONFLICT
    assert locale.text("en", "pages.fault_erasure_running") in page.text


def test_erasure_holds_are_those_of_the_subject_or_tenant_that_is_asked_about(served: Served) -> None:
    """A deletion job of one company does not get the people of another."""
    subjects = [(f"contact:{CONTACT}", TENANT), (f"contact:{CONTACT}", "ten_b"), ("user:usr_with_hold", None)]
    with writing(served.world.engine) as connection:
        for subject, tenant in subjects:
            legal_holds.add(connection, subject=subject, tenant=tenant, reason="case", actor="officer:olga")

    def listed(query: str) -> list[tuple[str, str | None]]:
        answer = served.call("GET", f"/v1/erasure-holds{query}", "olga", "officer").json()
        held = [(one["subject"], one["tenant"]) for one in answer["erasure_holds"]]
        return [one for one in held if one in subjects]

    assert sorted(listed(""), key=str) == sorted(subjects, key=str)
    assert listed(f"?tenant={TENANT}") == listed(f"?subject=contact:{CONTACT}&tenant={TENANT}") == subjects[:1]
    assert listed("?subject=user:usr_with_hold") == subjects[2:]


def test_an_idempotency_key_counts_for_one_request(served: Served) -> None:
    """The same key and body: the same export, also after it ended; another body is refused."""
    key = {"Idempotency-Key": "key-1"}
    first = served.call("POST", "/v1/exports", json=ASK, headers=key)
    served.call("POST", f"/v1/exports/{first.json()['id']}/cancel")
    again = served.call("POST", "/v1/exports", json=ASK, headers=key)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    other = served.call("POST", "/v1/exports", json=ASK | {"since": "2026-01-01"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")


def test_an_idempotency_key_is_of_the_caller_in_each_role(served: Served) -> None:
    """An officer requests their own data, and then another person's with the same key: the body is another."""
    own, key = {"profile": "access", "subject": "user:olga"}, {"Idempotency-Key": "key-2"}
    assert served.call("POST", "/v1/exports", "olga", "officer", json=own, headers=key).status_code == 201
    other = {**own, "subject": "user:usr_another", "reason": "Letter 12"}
    answer = served.call("POST", "/v1/exports", "olga", "officer", json=other, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")


def test_pages_of_a_list_hold_each_export_once(served: Served) -> None:
    """By cursor, the newest first, for any page size; an invalid cursor is refused."""
    made = [served.world.request(f"user:usr_list_{n}") for n in range(7)]
    seen: list[str] = []
    cursor = ""
    while True:
        query = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = served.call("GET", "/v1/exports", "sam", "staff", params=query).json()
        seen += [export["id"] for export in page["exports"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert len(seen) == len(set(seen))
    assert [each for each in seen if each in made] == made[::-1]
    assert served.call("GET", "/v1/exports", params={"cursor": "bm9uc2Vuc2U"}).status_code == 400


def test_a_list_has_your_own_exports(served: Served) -> None:
    """A subject lists their own, an administrator their company's, nothing more."""
    own = served.world.request("user:usr_mine")
    of_contact = served.world.request("contact:con_9", tenant=TENANT)
    listed = served.call("GET", "/v1/exports", "usr_mine").json()["exports"]
    assert [each["id"] for each in listed] == [own]
    of_company = served.issuer.bearer(served.url, "adm", "tenant_admin", tenant=TENANT)
    answer = httpx.get(f"{served.url}/v1/exports", headers=of_company).json()["exports"]
    assert of_contact in {each["id"] for each in answer}
    assert own not in {each["id"] for each in answer}


def test_staff_see_the_state_and_no_content(served: Served) -> None:
    """No datasets, volumes or links in what staff get, and no ids of people."""
    export_id = served.ready()
    seen = served.call("GET", f"/v1/exports/{export_id}", "sam", "staff")
    assert seen.json()["state"] == "ready"
    assert not {"datasets", "volumes", "links"} & seen.json().keys()
    assert OWNER not in seen.text
    own = served.call("GET", f"/v1/exports/{export_id}").json()
    assert own["volumes"]
    assert own["datasets"]


def test_staff_say_why_and_cannot_have_a_link(served: Served) -> None:
    """A request for another needs a reason; a link to it is refused with 403."""
    asked = {"profile": "access", "subject": "user:usr_helped"}
    refused = served.call("POST", "/v1/exports", "sam", "staff", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (400, "reason_required")
    made = served.call("POST", "/v1/exports", "sam", "staff", json=asked | {"reason": "ticket 12"})
    assert made.status_code == 201
    served.world.advance_all()
    link = served.call("POST", f"/v1/exports/{made.json()['id']}/links", "sam", "staff")
    assert (link.status_code, link.json()["code"]) == (403, "not_allowed")


@pytest.mark.requirement("R15")
@pytest.mark.parametrize("weak", [{"strong": False}, {"age_seconds": 3600}], ids=["one factor", "an hour old"])
def test_a_weak_login_is_challenged(served: Served, weak: dict[str, object]) -> None:
    """Asking needs a strong and fresh login; RFC 9470's challenge says what would do."""
    answer = httpx.post(f"{served.url}/v1/exports", headers=served.bearer(OWNER, **weak), json=ASK)
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    assert 'acr_values="mfa", max_age=900' in challenge


def test_a_link_is_shown_once_and_revoked_at_once(served: Served) -> None:
    """Its address opens until it is revoked; then it is as if it had never been."""
    made = served.call("POST", f"/v1/exports/{served.ready()}/links", json={"expires_seconds": 3600})
    assert made.status_code == 201
    assert httpx.get(made.json()["url"]).status_code == 200
    assert served.call("DELETE", f"/v1/links/{made.json()['id']}", OTHER).status_code == 404
    assert served.call("DELETE", f"/v1/links/{made.json()['id']}").status_code == 204
    assert httpx.get(made.json()["url"]).status_code == 404


def test_a_link_states_no_later_end_than_its_archive(served: Served) -> None:
    """An archive is kept for 7 days, so a link for 30 days ends in 7."""
    month = {"expires_seconds": 30 * 86_400}
    made = served.call("POST", f"/v1/exports/{served.ready()}/links", json=month).json()
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)


@pytest.mark.requirement("R50")
def test_the_request_log_is_for_officers_and_auditors(served: Served) -> None:
    """JSON and CSV, without the id of any person; staff and subjects are refused."""
    served.world.request(f"user:{OTHER}", reason="=cmd()")
    for role in ("officer", "auditor"):
        rows = served.call("GET", "/v1/requests", "olga", role).json()["requests"]
        table = served.call("GET", "/v1/requests", "olga", role, headers={"Accept": "text/csv"})
        assert table.headers["content-type"] == "text/csv; charset=utf-8"
        assert OTHER not in table.text
        assert "'=cmd()" in table.text
        assert len(rows) == len(table.text.splitlines()) - 1
    assert served.call("GET", "/v1/requests", "sam", "staff").status_code == 403
    assert served.call("GET", "/v1/requests").status_code == 403


def test_keys_health_and_metrics_are_public(served: Served) -> None:
    """No login for what machines need; link keys are not in the JWKS. The metrics need their token."""
    jwks = httpx.get(f"{served.url}/.well-known/jwks.json").json()
    assert {key["kid"].split("-")[0] for key in jwks["keys"]} == {"archive"}
    for path in ("/healthz", "/healthz/live", "/healthz/ready"):
        assert httpx.get(f"{served.url}{path}").json() == {"status": "ok"}
    with reading(served.world.engine) as connection:
        (token,) = metrics_tokens.present(connection, served.world.place.settings.keys).values()
    scraped = httpx.get(f"{served.url}/metrics", headers={"Authorization": f"Bearer {token}"})
    assert "portability_exports_overdue" in scraped.text
    for wrong in ({}, {"Authorization": "Bearer"}, {"Authorization": f"Bearer {token[:-1]}x"}, served.bearer("olga")):
        answer = httpx.get(f"{served.url}/metrics", headers=wrong)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_logged_in")


@pytest.mark.requirement("R19")
def test_a_holder_of_a_mandate_asks_for_another_person(served: Served) -> None:
    """Only within its scope (11 CCR 7063). They learn when it is due, and nothing of its content."""
    with writing(served.world.engine) as connection:
        mandate = mandates.add(
            connection,
            agent="subject:usr_agent",
            subject="user:usr_absent",
            tenant=None,
            profiles=["access"],
            issuer="the person, letter 17",
            expires_at=datetime.now(UTC) + timedelta(days=1),
            actor="officer:olga",
        )
    asked = {"profile": "access", "subject": "user:usr_absent", "mandate": mandate}
    made = served.call("POST", "/v1/exports", "usr_agent", json=asked)
    assert made.status_code == 201
    assert made.json()["due_at"]
    assert not {"datasets", "volumes", "links"} & made.json().keys()
    for who, change in (("usr_x", {}), ("usr_agent", {"profile": "portability"}), ("usr_agent", {"mandate": "man_x"})):
        refused = served.call("POST", "/v1/exports", who, json=asked | change)
        assert (refused.status_code, refused.json()["code"]) == (403, "mandate_refused")
