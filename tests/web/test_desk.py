"""The desk of staff and officers: asking for somebody, four eyes, refusing, recalling, the audit log."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from served import CONTACT, OTHER, OWNER, TENANT, Served, serving
from sqlalchemy import func, select

from portability import models, request_log
from portability.db import reading
from web.words import PHRASES

FILLED = re.compile(r"{(\w+)}")


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
    """Without one the form is refused; with one the request has its reason, channel and due date."""
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


@pytest.mark.requirement("R20")
def test_a_refusal_has_its_reason_and_remedies(strict: Served) -> None:
    """Only with a reason; the person reads it, and where to complain, on their page."""
    export_id = strict.world.request(f"user:{OWNER}")
    with strict.browser("olga", "officer") as visitor:
        assert visitor.send(f"/staff/exports/{export_id}/deny", reason=" ").status_code == 400
        assert visitor.send(f"/staff/exports/{export_id}/deny", reason="Daily.", basis="whim").status_code == 400
        refused = {"reason": "Asked for daily.", "basis": "excessive"}
        assert visitor.send(f"/staff/exports/{export_id}/deny", **refused).status_code == 303
        log = visitor.client.get("/staff/requests.csv").text
    assert next(line for line in log.splitlines() if export_id in line).count("excessive") == 1
    with strict.browser(OWNER) as visitor:
        page = visitor.client.get(f"/me/exports/{export_id}").text
    assert "Asked for daily." in page
    assert "data protection authority" in page


@pytest.mark.requirement("R48")
def test_a_recall_ends_everything(served: Served) -> None:
    """Links die at once, the person's page says so, and it cannot be downloaded again."""
    export_id = served.ready()
    token = served.link(export_id).token
    with served.browser("olga", "officer") as visitor:
        assert visitor.send(f"/staff/exports/{export_id}/recall", reason="sent to another").status_code == 303
    with served.browser(OWNER) as visitor:
        assert visitor.client.get(f"/d/{token}").status_code == 404
        assert "Withdrawn" in visitor.client.get(f"/me/exports/{export_id}").text
        assert visitor.send(f"/me/exports/{export_id}/volumes/1").status_code == 409


def test_the_queue_is_by_due_date_and_searched_by_reference(served: Served) -> None:
    """The oldest first; a request or a subject is found by its opaque reference alone."""
    late = served.world.request("user:usr_late", received_at="2026-01-01")
    soon = served.world.request("user:usr_soon")
    subject = served.world.view(soon)["subject"]
    with served.browser("sam", "staff") as visitor:
        queue = visitor.client.get("/staff").text
        assert queue.index(late) < queue.index(soon)
        assert "overdue" in queue
        for reference in (soon, subject):
            found = visitor.client.get("/staff", params={"q": reference}).text
            assert soon in found
            assert late not in found
        assert soon not in visitor.client.get("/staff", params={"q": "usr_soon"}).text


def test_an_administrator_sees_their_company_alone(served: Served) -> None:
    """The desk of a company's administrator has its contacts' requests and nobody else's."""
    theirs = served.world.request(f"contact:{CONTACT}", tenant=TENANT, since="2026-01-01")
    others = served.world.request("contact:con_b", tenant="ten_b")
    person = served.world.request(f"user:{OTHER}", since="2026-01-01")
    with served.browser("adm", "tenant_admin", tenant=TENANT) as visitor:
        queue = visitor.client.get("/staff").text
        assert visitor.client.get(f"/staff/exports/{others}").status_code == 404
    assert theirs in queue
    assert others not in queue
    assert person not in queue


def test_the_audit_page_checks_the_chain(served: Served) -> None:
    """Events with actors and references; the check says that nothing is missing."""
    served.ready()
    with served.browser("ann", "auditor") as visitor:
        page = visitor.client.get("/staff/audit", params={"check": "1"}).text
    assert "The chain is unbroken" in page
    assert "request.accepted" in page


def test_the_page_of_a_person_tells_and_does(served: Served) -> None:
    """Asking, the piece that polls with its ETag, cancelling, ending links; each by a form without script."""
    with served.browser("usr_page") as visitor:
        asked = visitor.send("/me/exports", page="/me", profile="portability", formats=["csv"], since="2026-01-01")
        address = asked.headers["location"]
        assert "Waiting to begin" in visitor.client.get("/me").text
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


def test_both_languages_have_the_same_phrases() -> None:
    """Every phrase is there in English and Indonesian, with the same values to fill in."""
    english, indonesian = PHRASES["en"], PHRASES["id"]
    assert english.keys() == indonesian.keys()
    for name, phrase in english.items():
        assert set(FILLED.findall(phrase)) == set(FILLED.findall(indonesian[name])), name


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
        ids = [row["id"] for row in request_log.every(connection, request_log.Scope())]
        stored = connection.scalar(select(func.count()).select_from(models.export))
    assert len(ids) == len(set(ids)) == stored
    with served.browser("ann", "auditor") as visitor:
        assert len(visitor.client.get("/staff/requests.csv").text.splitlines()) == len(ids) + 1
