"""The desk of staff and officers: requests for other people, four eyes, refusals, recalls, the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from served import CONTACT, OTHER, OWNER, TENANT, Served, serving
from sqlalchemy import func, select, update

from portability.api import Identity
from portability.database import models
from portability.database.engine import reading, writing
from portability.requests import approvals, exports, referrals, request_log, reviews
from portability.requests.policy import Actor, ActorRole


@pytest.fixture(scope="module")
def strict(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose policy wants a second person."""
    with serving(tmp_path_factory.mktemp("strict"), redis_server, approvals="policy") as server:
        yield server


def _asked(server: Served, sub: str, *roles: str, **fields: str) -> str:
    with server.browser(sub, *roles, **({"tenant": TENANT} if "tenant_admin" in roles else {})) as visitor:
        answer = visitor.send("/staff/exports", page="/staff/new", **fields)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"].rpartition("/")[2]


def test_staff_ask_with_a_reason(served: Served) -> None:
    """Without a reason the form is refused; with it the request has its reason, channel and due date."""
    fields = {"kind": "user", "id": OTHER, "channel": "letter", "received_at": "2026-11-20"}
    with served.browser("sam", "staff") as visitor:
        assert visitor.send("/staff/exports", page="/staff/new", **fields).status_code == 400
    export_id = _asked(served, "sam", "staff", **fields, reason="ticket 77")
    with served.browser("sam", "staff") as visitor:
        page = visitor.client.get(f"/staff/exports/{export_id}").text
    assert "ticket 77" in page
    assert "Letter" in page
    assert OTHER not in page


def test_a_company_leaves_with_four_eyes(strict: Served) -> None:
    """A switch waits; who asked cannot approve it, another can, and then it is made."""
    asked = {"kind": "tenant", "id": TENANT, "reason": "contract ends"}
    export_id = _asked(strict, "adm", "tenant_admin", **asked)
    assert strict.world.view(export_id)["state"] == "review"
    strict.world.advance_all()
    assert strict.world.view(export_id)["state"] == "review"
    with strict.browser("adm", "tenant_admin", tenant=TENANT) as visitor:
        assert "/approve" not in visitor.client.get(f"/staff/exports/{export_id}").text
        assert visitor.send(f"/staff/exports/{export_id}/approve").status_code == 403
    with strict.browser("sam", "staff") as visitor:
        assert visitor.send(f"/staff/exports/{export_id}/approve").status_code == 403
    with strict.browser("olga", "officer") as visitor:
        assert "/approve" in visitor.client.get(f"/staff/exports/{export_id}").text
        assert visitor.send(f"/staff/exports/{export_id}/approve").status_code == 303
    strict.world.advance_all()
    assert strict.world.view(export_id)["state"] == "ready"


def test_the_second_reader_sees_why_one_person_approved_alone(strict: Served) -> None:
    """The reason is on the page of staff, and the company's administrator does not see it."""
    export_id = _asked(strict, "adm", "tenant_admin", kind="tenant", id=TENANT, reason="contract ends")
    with writing(strict.world.engine) as connection:
        approvals.approve_alone(connection, export_id, reason="<olga> is ill", actor=Actor(ActorRole.OPERATOR, "root"))
    pages = {}
    for name, role, tenant in (("olga", "officer", None), ("adm", "tenant_admin", TENANT)):
        with strict.browser(name, role, **({"tenant": tenant} if tenant else {})) as visitor:
            pages[role] = visitor.client.get(f"/staff/exports/{export_id}").text
    assert "&lt;olga&gt; is ill" in pages["officer"]
    assert "is ill" not in pages["tenant_admin"]
    strict.world.advance_all()


def _hidden(page: str, name: str) -> str:
    return page.partition(f'name="{name}" value="')[2].partition('"')[0]


def test_a_decision_is_about_what_its_page_showed(strict: Served) -> None:
    """A worker finds that no source knows the company after one officer has approved; the other has the old page."""
    export_id = strict.world.request("tenant:ten_gone", profile="switch")
    with writing(strict.world.engine) as connection:
        approvals.ask(connection, export_id, [approvals.Cause.SWITCH], actor=Actor("officer", "ola"))
    here = f"/staff/exports/{export_id}"
    with strict.browser("olga", "officer") as olga, strict.browser("otto", "officer") as otto:
        first, old = (_hidden(visitor.client.get(here).text, "seen") for visitor in (olga, otto))
        assert first == old != ""
        assert olga.send(f"{here}/approve", seen=first).status_code == 303
        assert olga.send(f"{here}/approve", seen=first).status_code == 409
        with writing(strict.world.engine) as connection:
            approvals.ask_about_unknown(connection, exports.lock(connection, export_id), actor="worker")
        page = olga.client.get(here).text
        assert "No source knows" in page
        for what in ("approve", "deny"):
            answer = otto.send(f"{here}/{what}", seen=old, reason="No.", confirmed="yes")
            assert (what, answer.status_code) == (what, 409)
        assert strict.world.view(export_id)["state"] == "review"
        asks = olga.send(f"{here}/deny", seen=_hidden(page, "seen"), reason="Nobody has this number.")
        refused = {"seen": _hidden(asks.text, "seen"), "reason": "Nobody has this number.", "confirmed": "yes"}
        assert olga.send(f"{here}/deny", **refused).status_code == 303
    assert strict.world.view(export_id)["state"] == "denied"


def test_a_refusal_from_a_page_without_questions_answers_none(strict: Served) -> None:
    """It was about the whole request, before a worker began: it does not become the answer to what was asked later."""
    export_id = strict.world.request("user:usr_not_yet_asked")
    here = f"/staff/exports/{export_id}"
    with strict.browser("olga", "officer") as visitor:
        old = _hidden(visitor.client.get(here).text, "seen")
        with writing(strict.world.engine) as connection:
            approvals.ask_about_unknown(connection, exports.lock(connection, export_id), actor="worker")
        assert visitor.send(f"{here}/deny", seen=old, reason="No.", confirmed="yes").status_code == 409
    assert strict.world.view(export_id)["state"] == "review"


def test_an_approval_of_several_is_about_what_its_page_showed(strict: Served) -> None:
    """The page says why each waits. What is asked afterwards, or was not shown, is not approved."""
    ids = [strict.world.request(f"user:usr_several_{number}") for number in range(2)]
    with writing(strict.world.engine) as connection:
        for export_id in ids:
            approvals.ask(connection, export_id, [approvals.Cause.SWITCH], actor=Actor("officer", "ola"))
    chosen: dict[str, Any] = {"what": "approve", "selected": ids}
    with strict.browser("olga", "officer") as olga, strict.browser("otto", "officer") as otto:
        page = otto.send("/staff/bulk", **chosen).text
        assert page.count("The request covers all data of a company.") == 2
        assert "Done for 0 of 2." in otto.send("/staff/bulk", **chosen, confirmed="yes").text
        assert olga.send(f"/staff/exports/{ids[0]}/approve").status_code == 303
        with writing(strict.world.engine) as connection:
            approvals.ask_about_unknown(connection, exports.lock(connection, ids[0]), actor="worker")
        shown = _hidden(page, "seen")
        assert "Done for 1 of 2." in otto.send("/staff/bulk", **chosen, confirmed="yes", seen=shown).text
    assert [strict.world.view(export_id)["state"] for export_id in ids] == ["review", "queued"]


@pytest.mark.requirement("R20")
def test_a_refusal_has_its_reason_and_remedies(strict: Served) -> None:
    """Only with a reason; the person reads it, and where to complain, on their page."""
    export_id = strict.world.request(f"user:{OWNER}")
    with strict.browser("olga", "officer") as visitor:
        assert visitor.send(f"/staff/exports/{export_id}/deny", reason=" ").status_code == 400
        assert visitor.send(f"/staff/exports/{export_id}/deny", reason="Daily.", basis="whim").status_code == 400
        refused = {"reason": "Asked for daily.", "basis": "excessive"}
        asked = visitor.send(f"/staff/exports/{export_id}/deny", **refused)
        assert "Refuse this request?" in asked.text
        assert strict.world.view(export_id)["state"] == "queued"
        assert visitor.send(f"/staff/exports/{export_id}/deny", **refused, confirmed="yes").status_code == 303
        log = visitor.client.get("/staff/requests.csv").text
    assert next(line for line in log.splitlines() if export_id in line).count("excessive") == 1
    with strict.browser(OWNER) as visitor:
        page = visitor.client.get(f"/me/exports/{export_id}").text
    assert "Asked for daily." in page
    assert "data protection authority" in page


@pytest.mark.requirement("R48")
@pytest.mark.parametrize(
    ("changed", "offered"),
    [
        ({}, True),
        ({"state": "expired"}, True),
        ({"state": "running", "revision": 2}, True),
        ({"state": "running", "revision": 1}, False),
        ({"state": "queued"}, False),
        ({"state": "denied"}, False),
        ({"state": "recalled"}, False),
    ],
    ids=str,
)
def test_a_recall_is_offered_where_an_archive_was_made(
    served: Served, changed: Mapping[str, Any], offered: bool
) -> None:
    """An archive that is deleted can have reached the wrong person; a request without an archive is cancelled."""
    export_id = served.ready()
    with writing(served.world.engine) as connection:
        if changed:
            connection.execute(update(models.export).where(models.export.c.id == export_id).values(**changed))
    with served.browser("olga", "officer") as visitor:
        page = visitor.client.get(f"/staff/exports/{export_id}").text
        assert (f'action="/staff/exports/{export_id}/recall"' in page) == offered
    with writing(served.world.engine) as connection:
        connection.execute(update(models.export).where(models.export.c.id == export_id).values(state="recalled"))


@pytest.mark.requirement("R48")
def test_a_recall_ends_everything(served: Served) -> None:
    """Links die at once, the person's page says so, and it cannot be downloaded again."""
    export_id = served.ready()
    token = served.link(export_id).token
    with served.browser("olga", "officer") as visitor:
        recalled = {"reason": "sent to another"}
        assert "Recall this archive?" in visitor.send(f"/staff/exports/{export_id}/recall", **recalled).text
        assert visitor.send(f"/staff/exports/{export_id}/recall", **recalled, confirmed="yes").status_code == 303
    with served.browser(OWNER) as visitor:
        assert visitor.client.get(f"/d/{token}").status_code == 404
        assert "Recalled" in visitor.client.get(f"/me/exports/{export_id}").text
        assert visitor.send(f"/me/exports/{export_id}/volumes/1").status_code == 409


def test_the_queue_is_by_due_date_and_searched_by_reference(served: Served) -> None:
    """The oldest first; a request is found by each reference as a screen shows it, and by the id of its person."""
    late = served.world.request("user:usr_late", received_at="2026-01-01")
    soon = served.world.request("user:usr_soon")
    subject = served.world.view(soon)["subject"]
    with served.browser("sam", "staff") as visitor:
        queue = visitor.client.get("/staff").text
        assert queue.index(late) < queue.index(soon)
        assert "overdue" in queue
        for text in (soon, soon[:8], subject, subject[:12], "usr_soon"):
            found = visitor.client.get("/staff", params={"q": text}).text
            assert f"/staff/exports/{soon}" in found
            assert f"/staff/exports/{late}" not in found
            assert visitor.send("/staff/search", q=text).headers["location"] == f"/staff/exports/{soon}"


def test_an_administrator_sees_their_company_alone(served: Served) -> None:
    """The desk of a company's administrator has its contacts' requests and no others."""
    own_contact = served.world.request(f"contact:{CONTACT}", tenant=TENANT, since="2026-01-01")
    others = served.world.request("contact:con_b", tenant="ten_b")
    person = served.world.request(f"user:{OTHER}", since="2026-01-01")
    with served.browser("adm", "tenant_admin", tenant=TENANT) as visitor:
        queue = visitor.client.get("/staff").text
        assert visitor.client.get(f"/staff/exports/{others}").status_code == 404
    assert own_contact in queue
    assert others not in queue
    assert person not in queue


def test_the_audit_page_checks_the_chain(served: Served) -> None:
    """Events with actors and references; the check says that nothing is missing."""
    served.ready()
    with served.browser("ann", "auditor") as visitor:
        page = visitor.client.get("/staff/audit", params={"check": "1"}).text
    assert "The chain is unbroken" in page
    assert "request.accepted" in page


def test_the_last_day_of_a_period_belongs_to_it(served: Served) -> None:
    """A person who asks from a day until the same day on the page gets the data of that whole day."""
    with served.browser("usr_day") as visitor:
        asked = visitor.send("/me/exports", page="/me", profile="access", since="2026-11-24", until="2026-11-24")
        assert asked.status_code == 303
    with reading(served.world.engine) as connection:
        row = exports.get(connection, asked.headers["location"].rpartition("/")[2])
    assert row["since"] == datetime(2026, 11, 24, tzinfo=UTC)
    assert row["until"] == datetime(2026, 11, 25, tzinfo=UTC)


def test_the_page_of_a_person_shows_and_acts(served: Served) -> None:
    """Asking, the piece that polls with its ETag, cancelling, ending links; each by a form without script."""
    with served.browser("usr_page") as visitor:
        asked = visitor.send("/me/exports", page="/me", profile="portability", formats=["csv"], since="2026-01-01")
        address = asked.headers["location"]
        assert "Waiting to start" in visitor.client.get("/me").text
        piece = visitor.client.get(f"{address}/standing")
        same = visitor.client.get(f"{address}/standing", headers={"If-None-Match": piece.headers["etag"]})
        assert same.status_code == 304
        assert visitor.send(f"{address}/cancel").status_code == 303
        assert "Cancelled" in visitor.client.get(address).text
        visitor.send("/me/exports", page="/me", profile="access")
        served.world.advance_all()
        page = visitor.client.get("/me").text
        assert "Your copy is ready" in page
        ready = page.partition('data-live="')[0].partition("/me/exports/")[2][:24]
        claimed = visitor.send(f"/me/exports/{ready}/volumes/1")
        assert visitor.client.get(claimed.headers["location"]).status_code == 200
        assert visitor.send(f"/me/exports/{ready}/revoke").status_code == 303
        assert visitor.client.get(claimed.headers["location"]).status_code == 404


def test_a_visitor_speaks_indonesian(served: Served) -> None:
    """By what the browser prefers, or by choice, which stays."""
    with served.browser(OWNER) as visitor:
        assert 'lang="id"' in visitor.client.get("/me", headers={"Accept-Language": "id-ID,id;q=0.9"}).text
        assert "Data Anda" not in visitor.client.get("/me").text
        visitor.send("/language", language="id", next="/me")
        assert "Data Anda" in visitor.client.get("/me").text


def test_the_request_log_is_whole_however_long(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a table it has no pages: every request of the deployment is a line."""
    for number in range(5):
        served.world.request(f"user:usr_log_{number}")
    monkeypatch.setattr(request_log, "PAGE", 2)
    with reading(served.world.engine) as connection:
        ids = [row["id"] for row in request_log.page(connection, request_log.Scope(), limit=1000)[0]]
        stored = connection.scalar(select(func.count()).select_from(models.export))
    assert len(ids) == len(set(ids)) == stored
    with served.browser("ann", "auditor") as visitor:
        assert len(visitor.client.get("/staff/requests.csv").text.splitlines()) == len(ids) + 1


def test_an_officer_decides_whose_a_record_is(served: Served) -> None:
    """The page lists the records to review; officers have the buttons, support has not and cannot use them."""
    export_id = served.ready()
    with writing(served.world.engine) as connection:
        found = Identity("calls", "call_id", "call_9", tenant=TENANT)
        reviews.note(connection, exports.get(connection, export_id), [(found, "calls/calls")])
        review_id = reviews.of(connection, exports.get(connection, export_id))[0]["id"]
    address, page = f"/staff/exports/{export_id}/reviews/{review_id}", f"/staff/exports/{export_id}"
    decision = {"decision": "not_theirs", "reason": "content"}
    with served.browser("sam", "staff") as visitor:
        assert review_id not in visitor.client.get(page).text
        assert visitor.send(address, page=page, **decision).status_code == 403
    with served.browser("olga", "officer") as visitor:
        assert "call_9" in visitor.client.get(page).text
        assert visitor.send(address, page=page, decision="maybe", reason="content").status_code == 400
        assert visitor.send(address, page=page, decision="theirs", reason="whim").status_code == 400
        assert visitor.send(address, page=page, **decision).status_code == 303
        assert "Not about this person" in visitor.client.get(page).text
        assert address not in visitor.client.get(page).text


def test_many_records_to_review_do_not_fill_the_page(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has some of those without a decision, and says how many more there are."""
    export_id = served.ready("user:usr_reviewed")
    with writing(served.world.engine) as connection:
        found = [(Identity("calls", "call_id", f"call_r{n}", tenant=TENANT), "calls/calls") for n in range(3)]
        reviews.note(connection, exports.get(connection, export_id), found)
    monkeypatch.setattr("web.pages.staff.REVIEWS_SHOWN", 1)
    page = f"/staff/exports/{export_id}"
    with served.browser("olga", "officer") as visitor:
        first = visitor.client.get(page).text
        assert "Further records: 2." in first
        assert first.count(f"{page}/reviews/") == 1
        address = f"{page}/reviews/" + first.partition(f"{page}/reviews/")[2].partition('"')[0]
        assert visitor.send(address, page=page, decision="theirs", reason="content").status_code == 303
        assert visitor.client.get(page).text.count(f"{page}/reviews/") == 1


def test_a_tenant_answers_on_its_page(served: Served) -> None:
    """Its administrator sees the ids of the person and the due date; another tenant sees nothing and cannot answer."""
    export_id = served.ready(tell_tenants=True)
    with writing(served.world.engine) as connection:
        row = exports.get(connection, export_id)
        referrals.note(connection, served.world.place.settings, row, {TENANT: ["con_17"], "ten_silent": ["con_18"]})
        (found,) = referrals.rows(connection, tenant=TENANT)
    address, page = f"/staff/referrals/{found['id']}", "/staff/referrals"
    with served.browser("bob", "tenant_admin", tenant="ten_other") as visitor:
        assert "con_17" not in visitor.client.get(page).text
        assert visitor.send(f"{address}/refuse", page=page, reason="law").status_code == 404
    with served.browser("sam", "staff") as visitor:
        assert visitor.client.get(page).status_code == 403
    with served.browser("adm", "tenant_admin", tenant=TENANT) as visitor:
        assert page in visitor.client.get("/staff").text
        shown = visitor.client.get(page).text
        assert "con_17" in shown
        assert "con_18" not in shown
        assert visitor.send(f"{address}/forget", page=page).status_code == 400
        assert visitor.send(f"{address}/refuse", page=page, reason="whim").status_code == 400
        assert visitor.send(f"{address}/refuse", page=page, reason="law").status_code == 303
        assert "A law forbids the disclosure" in visitor.client.get(page).text
    assert served.world.view(export_id)["revision"] == 2


def test_the_deletion_job_asks_whose_data_must_stay(served: Served) -> None:
    """Officers read the list by API, for all subjects or one; people and support do not."""
    served.ready(f"user:{OTHER}")
    answer = served.call("GET", "/v1/erasure-holds", "job", "officer", params={"subject": f"user:{OTHER}"})
    (held,) = answer.json()["erasure_holds"]
    assert (held["subject"], held["reasons"]) == (f"user:{OTHER}", ["delivery"])
    free = served.call("GET", "/v1/erasure-holds", "job", "officer", params={"subject": "user:usr_none"})
    assert free.json() == {"erasure_holds": []}
    for role in ("subject", "staff", "auditor"):
        assert served.call("GET", "/v1/erasure-holds", "sam", role).status_code == 403
    assert served.call("GET", "/v1/erasure-holds", "job", "officer", params={"subject": "x"}).status_code == 400


@pytest.mark.parametrize(("kind", "address"), [("email", "canary.reader@news.example"), ("phone", "+493090182020")])
def test_staff_ask_for_a_person_without_an_account(served: Served, kind: str, address: str) -> None:
    """With a reason; no page shows the address, and no link of it. A user and a company's administrator may not ask."""
    wanted = {"profile": "access", "subject": f"{kind}:{address}", "reason": "letter of 2026-11-20"}
    assert served.call("POST", "/v1/exports", OWNER, json=wanted).status_code == 403
    assert served.call("POST", "/v1/exports", "adm", "tenant_admin", json=wanted).status_code == 403
    assert served.call("POST", "/v1/exports", "sam", "staff", json={**wanted, "reason": None}).status_code == 400

    export_id = _asked(served, "sam", "staff", kind=kind, id=address, reason="letter of 2026-11-20")
    assert served.call("POST", "/v1/exports", "sam", "staff", json=wanted).json()["id"] == export_id
    with served.browser("sam", "staff") as visitor:
        pages = [visitor.client.get(path).text for path in ("/staff", f"/staff/exports/{export_id}")]
    assert all(f"by {'e-mail address' if kind == 'email' else 'phone number'}" in page for page in pages)
    assert not any(address in page for page in pages)
    assert served.call("GET", f"/v1/exports/{export_id}", OWNER).status_code == 404
