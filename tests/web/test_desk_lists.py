"""The lists of people who work on requests: search, tiles, order, pages, assignment, several at once, look-up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import MadeUpExporter, things
from served import CONTACT, OTHER, OWNER, TENANT, Served, serving
from sqlalchemy import select
from wrong_clocks import set_wrong

from portability.api import Identity, SubjectKind
from portability.database import models
from portability.database.engine import reading, writing
from portability.requests import approvals, desk_queue, exports
from portability.requests.policy import Actor
from portability.trust import audit
from web import rendering

MAIL = "ann.owner@mail.example"
OFFICE = "office@firm.example"
COWORKERS = [f"usr_firm_{number:02}" for number in range(23)]


class AddressedExporter(MadeUpExporter):
    """Knows one account by its address, and 23 that share one."""

    def identities(self, subject: object) -> list[Identity]:
        known = subject.verified("email")  # type: ignore[attr-defined]  # a Subject
        ids = [OWNER] if MAIL in known else COWORKERS if OFFICE in known else []
        return [Identity("made_up", "user_id", each, verified=True) for each in ids]


@pytest.fixture(scope="module")
def staffed(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose source knows the owner's address."""
    exporters = {"made_up": AddressedExporter(things(5), subject_kinds=frozenset(SubjectKind))}
    with serving(tmp_path_factory.mktemp("desk"), redis_server, exporters=exporters) as server:
        vars(server.app.state.place)["exporters"] = exporters  # the server has those of the platform
        yield server


def _made(staffed: Served, subject: str, **values: object) -> str:
    """A request that waits, with some values of its row."""
    export_id = staffed.world.request(subject, reason=values.pop("reason", None))
    with writing(staffed.world.engine) as connection:
        if values:
            connection.execute(models.export.update().where(models.export.c.id == export_id).values(**values))
    return export_id


def test_a_request_is_found_by_what_a_caller_says(staffed: Served) -> None:
    """The address of the account, an address without account, the number of the ticket; the log has no such text."""
    of_owner = _made(staffed, f"user:{OWNER}")
    of_address = _made(staffed, "email:no.account@mail.example", reason="letter, T-4711")
    with staffed.browser("sam", "staff") as visitor:
        for text, found in ((MAIL.title(), of_owner), ("No.Account@mail.example", of_address), ("T-4711", of_address)):
            assert visitor.send("/staff/search", q=text).headers["location"] == f"/staff/exports/{found}"
        assert "no request for this" in visitor.send("/staff/search", q="nothing@mail.example").text
    with reading(staffed.world.engine) as connection:
        events = [dict(event) for event in audit.events(connection) if event["action"] == "desk.searched"]
    assert {event["actor"] for event in events} == {"staff:sam"}
    assert "mail.example" not in str(events)


def test_a_tile_opens_what_it_counts(staffed: Served) -> None:
    """Overdue, due within a day and failed: each list has its requests and no others."""
    now = datetime.now(UTC)
    late = _made(staffed, "user:usr_tile_1", due_at=now - timedelta(days=1))
    soon = _made(staffed, "user:usr_tile_2", due_at=now + timedelta(hours=3))
    failed = _made(staffed, "user:usr_tile_3", state="failed", error_code="source_error")
    lists = {"overdue": late, "soon": soon, "failed": failed}
    with staffed.browser("sam", "staff") as visitor:
        front = visitor.client.get("/staff").text
        for name, own in lists.items():
            assert f'href="/staff?state={name}"' in front
            page = visitor.client.get("/staff", params={"state": name}).text
            assert [other for other in lists.values() if f"/staff/exports/{other}" in page] == [own]


def test_a_page_of_staff_says_what_is_late_by_the_database(staffed: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose clock is two days ahead calls no request overdue that is due within a day."""
    due = _made(staffed, "user:usr_due", due_at=datetime.now(UTC) + timedelta(hours=23))
    with staffed.browser("sam", "staff") as visitor:
        set_wrong(monkeypatch, rendering, days=2)
        for page in (f"/staff/exports/{due}", "/staff?state=soon"):
            shown = visitor.client.get(page).text
            assert "left</span>" in shown
            assert 'class="late"' not in shown


def test_a_list_is_sorted_and_paged(staffed: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each order, pages of two have each request once."""
    monkeypatch.setattr(desk_queue.page, "__kwdefaults__", {"after": None, "limit": 2})
    with reading(staffed.world.engine) as connection:
        waiting = connection.execute(select(models.export).where(models.export.c.state == "queued")).mappings().all()
    rows = {row["id"]: row for row in waiting}
    with staffed.browser("sam", "staff") as visitor:
        for sort, key in (
            ("due", "due_at"),
            ("-due", "due_at"),
            ("received", "created_at"),
            ("-received", "created_at"),
        ):
            found, cursor = list[str](), "first"
            while cursor:
                asked = {"sort": sort} if cursor == "first" else {"sort": sort, "cursor": cursor}
                page = visitor.client.get("/staff", params=asked).text
                found += [part[:24] for part in page.split('href="/staff/exports/')[1:]]
                more = re.search(r'href="[^"]*&amp;cursor=([^"]+)"', page)
                cursor = more[1] if more else ""
            assert len(found) == len(set(found))
            assert {*rows} <= {*found}
            times = [rows[each][key] for each in found if each in rows]
            assert times == sorted(times, reverse=sort.startswith("-"))
        assert visitor.client.get("/staff", params={"cursor": "x"}).status_code == 400


def test_several_requests_are_taken_and_cancelled_after_a_question(staffed: Served) -> None:
    """The first answer asks and changes nothing; the second does it, and says for which it could not."""
    waiting, ended = _made(staffed, "user:usr_bulk_1"), _made(staffed, "user:usr_bulk_2", state="expired")
    with staffed.browser("sam", "staff") as visitor:
        both: dict[str, Any] = {"selected": [waiting, ended]}
        assert "Selected requests: 2" in visitor.send("/staff/bulk", what="cancel", **both).text
        assert staffed.world.view(waiting)["state"] == "queued"
        visitor.send("/staff/bulk", what="assign", confirmed="yes", selected=[waiting])
        assert waiting in visitor.client.get("/staff", params={"state": "assigned"}).text
        done = visitor.send("/staff/bulk", what="cancel", confirmed="yes", **both).text
        assert "Done for 1 of 2." in done
        assert "The status does not allow this." in done
        assert "Select at least one request" in visitor.send("/staff/bulk", what="cancel").text
        assert visitor.send("/staff/bulk", what="erase", **both).status_code == 400
    assert staffed.world.view(waiting)["state"] == "cancelled"


def test_only_who_may_approve_approves_several(staffed: Served) -> None:
    """Support selects and confirms: the row says so, and nothing was approved."""
    export_id = _made(staffed, "user:usr_bulk_3", state="review")
    with staffed.browser("sam", "staff") as visitor:
        answer = visitor.send("/staff/bulk", what="approve", confirmed="yes", selected=[export_id])
    assert "You do not have permission to do this." in answer.text
    assert staffed.world.view(export_id)["state"] == "review"


def test_one_second_login_approves_several(staffed: Served) -> None:
    """It counts for the list that the officer has sent, and for no other; before it nothing is approved."""
    *listed, other = (_to_decide(staffed, f"user:usr_list_{number}") for number in range(4))
    approval: dict[str, Any] = {"what": "approve", "confirmed": "yes", "selected": listed}
    with staffed.browser("olga", "officer", strong=False) as visitor:
        page = visitor.send("/staff/bulk", what="approve", selected=listed).text
        approval["seen"] = page.partition('name="seen" value="')[2].partition('"')[0]
        assert visitor.send("/staff/bulk", **approval).status_code == 401
        staffed.issuer.person = staffed.issuer.claims("olga", "officer")
        visitor.client.get("/login?again=1", follow_redirects=True)
        assert {staffed.world.view(each)["state"] for each in listed} == {"review"}
        for selected in ([*listed, other], [other]):
            assert visitor.send("/staff/bulk", **{**approval, "selected": selected}).status_code == 401
        assert "Done for 3 of 3." in visitor.send("/staff/bulk", **approval).text
    assert [staffed.world.view(each)["state"] for each in (*listed, other)] == ["queued"] * 3 + ["review"]


def test_a_list_with_an_unknown_request_changes_nothing(staffed: Served) -> None:
    """The answer is that of an unknown page: it could not say what became of the others."""
    export_id = _made(staffed, "user:usr_beside")
    with staffed.browser("sam", "staff") as visitor:
        answer = visitor.send("/staff/bulk", what="cancel", confirmed="yes", selected=[export_id, "a" * 24])
    assert (answer.status_code, staffed.world.view(export_id)["state"]) == (404, "queued")


def _to_decide(staffed: Served, subject: str) -> str:
    """A request that waits for a second person."""
    export_id = staffed.world.request(subject)
    with writing(staffed.world.engine) as connection:
        approvals.ask(connection, export_id, [approvals.Cause.SWITCH], actor=Actor("operator", "test"))
    return export_id


def test_an_administrator_assigns_nothing(staffed: Served) -> None:
    """The desk of a company's administrator lists its requests; those who work on them are the platform's staff."""
    export_id = staffed.world.request(f"contact:{CONTACT}", tenant=TENANT, since="2026-02-01")
    with staffed.browser("adm", "tenant_admin", tenant=TENANT) as visitor:
        answer = visitor.send("/staff/bulk", what="assign", confirmed="yes", selected=[export_id])
    assert "Done for 0 of 1." in answer.text
    with reading(staffed.world.engine) as connection:
        assert exports.get(connection, export_id)["assignee"] is None


def test_staff_look_an_account_up_and_the_public_cannot(staffed: Served) -> None:
    """The form is filled with the account; it is recorded without the address; a person without the role gets 403."""
    with staffed.browser("sam", "staff") as visitor:
        page = visitor.send("/staff/look-up", page="/staff/new", address=MAIL).text
        assert f'name="id" value="{OWNER}"' in page
        none = visitor.send("/staff/look-up", page="/staff/new", address="No.One@mail.example").text
        assert 'name="id" value="no.one@mail.example"' in none
        assert '<option value="email" selected>' in none
    with staffed.browser(OTHER) as visitor:
        assert visitor.send("/staff/look-up", address=MAIL).status_code == 403
    with staffed.browser("adm", "tenant_admin", tenant=TENANT) as visitor:
        assert visitor.send("/staff/look-up", address=MAIL).status_code == 403
    with reading(staffed.world.engine) as connection:
        events = [event for event in audit.events(connection) if event["action"] == "subject.looked_up"]
    assert {event["detail"]["found"] for event in events} >= {"0", "1"}


def test_a_list_of_accounts_says_how_many_it_leaves_out(staffed: Served) -> None:
    """An address of an office: 20 of its 23 accounts are named and searched, also where one request is found."""
    asked = _made(staffed, f"user:{COWORKERS[19]}")
    left = _made(staffed, f"user:{COWORKERS[20]}")
    said = "which are left out here: 3."
    with staffed.browser("sam", "staff") as visitor:
        page = visitor.send("/staff/look-up", page="/staff/new", address=OFFICE).text
        assert [each for each in COWORKERS if f"<code>{each}</code>" in page] == COWORKERS[:20]
        assert said in page
        found = visitor.send("/staff/search", q=OFFICE).text
        assert f"/staff/exports/{asked}" in found
        assert f"/staff/exports/{left}" not in found
        assert said in found
        assert "left out" not in visitor.send("/staff/look-up", page="/staff/new", address=MAIL).text
    with reading(staffed.world.engine) as connection:
        events = [event for event in audit.events(connection) if event["action"] == "subject.looked_up"]
    assert "23" in {event["detail"]["found"] for event in events}


def test_a_request_is_taken_and_given_back(staffed: Served) -> None:
    """Its page says who works on it, what it covers, how large it will be, and what else the person asked for."""
    first = _made(staffed, "user:usr_taken", state="expired")
    export_id = staffed.world.request("user:usr_taken", include=["calls"], since="2026-01-01")
    address = f"/staff/exports/{export_id}"
    with staffed.browser("sam", "staff") as visitor:
        assert visitor.send(f"{address}/assignment/me").status_code == 303
        page = visitor.client.get(address).text
        assert "Assigned to sam" in page
        assert "<dd>Calls" in page
        assert "1 January 2026" in page
        assert f"/staff/exports/{first}" in page
        visitor.send(f"{address}/assignment/none")
        assert "Not assigned" in visitor.client.get(address).text
        assert visitor.send(f"{address}/assignment/boss").status_code == 400
    with staffed.browser("adm", "tenant_admin", tenant=TENANT) as visitor:
        assert visitor.send(f"{address}/assignment/me").status_code == 404


def test_the_audit_page_is_filtered_and_paged(staffed: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """By who acted, by whom a request is about, by action and by day; pages have each event once."""
    export_id = _made(staffed, "user:usr_audited")
    with staffed.browser("sam", "staff") as visitor:
        visitor.send(f"/staff/exports/{export_id}/assignment/me")
    with staffed.browser("ann", "auditor") as visitor:

        def shown(**asked: str) -> str:
            return str(visitor.client.get("/staff/audit", params=asked).text.partition('<ol class="log"')[2])

        for person in ("usr_audited", export_id, export_id[:8]):
            about = shown(person=person)
            assert about.count("request.accepted") == 1
            assert "export.assigned" in about
        by_sam = shown(person="sam", action="export.assigned")
        assert "staff:sam" in by_sam
        assert "request.accepted" not in by_sam
        assert "request.accepted" in shown(day=str(datetime.now(UTC).date()))
        assert shown(day="2020-01-01") == ""
        for day in ("soon", "2026-02-30", "9999-12-31"):
            assert visitor.client.get("/staff/audit", params={"day": day}).status_code == 400
        assert "request.accepted" in shown(person="usr_audited", action="", day="")
        monkeypatch.setattr("portability.trust.audit_search.page.__kwdefaults__", {"before": None, "limit": 2})
        first = visitor.client.get("/staff/audit").text
        before = first.partition("before=")[2].partition('"')[0]
        second = visitor.client.get("/staff/audit", params={"before": before}).text
        numbers = [part.partition("<")[0] for page in (first, second) for part in page.split("<summary>#")[1:]]
        assert [int(number) for number in numbers] == sorted({int(number) for number in numbers}, reverse=True)
        assert len(numbers) == 4


PERIODS = {
    ("2026-01-01", "2026-01-31"): "1 January 2026 \u2013 31 January 2026",
    ("2026-01-01", ""): "since 1 January 2026",
    ("", "2026-01-31"): "until 31 January 2026",
}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Jakarta", "America/New_York"])
def test_a_scope_names_the_days_that_belong_to_it(redis_server: str, tmp_path: Path, zone: str) -> None:
    """The first and the last day as the person chose them, wherever the days of the deployment begin."""
    with serving(tmp_path, redis_server, time_zone=zone) as server:
        for (since, until), said in PERIODS.items():
            with server.browser("usr_days") as visitor:
                asked = visitor.send("/me/exports", page="/me", profile="access", since=since, until=until)
            address = asked.headers["location"].replace("/me/", "/staff/")
            with server.browser("sam", "staff") as visitor:
                assert f" · {said}</small>" in visitor.client.get(address).text


REFUSED = {
    ("/me", "/me/exports"): {"profile": "access", "since": "2026-02-01", "until": "2026-01-01"},
    ("/staff/new", "/staff/exports"): {"kind": "user", "id": OTHER, "reason": " "},
    ("/staff", "/staff/views"): {"name": " "},
    ("/staff/recipients", "/staff/recipients"): {"name": "Other"},
}
WAYS_BACK = {
    "/me": 'method="post" action="/me"',
    "/staff/new": 'method="post" action="/staff/new"',
    "/staff/recipients": 'method="post" action="/staff/recipients/draft"',
    "/staff": '<a class="button" href="/staff">Go back</a>',
}
"""A form for a request or a provider is shown again as it was filled in."""


@pytest.mark.parametrize(("page", "address"), REFUSED)
def test_a_refused_form_leads_back_to_its_page(staffed: Served, page: str, address: str) -> None:
    """The first button leads there, not to the start; a page that was only opened has no way back to offer."""
    with staffed.browser("olga", "officer") as visitor:
        refused = visitor.send(address, page=page, **REFUSED[page, address])
        missing = visitor.client.get("/nothing")
    assert (refused.is_client_error, missing.status_code) == (True, 404)
    actions = refused.text.partition('<div class="actions">')[2].partition("</div>")[0]
    assert actions.index(WAYS_BACK[page]) < actions.index('<a class="quiet" href="/">')
    assert '<a class="button" href="/">' in missing.text
