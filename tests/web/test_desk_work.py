"""What people who work on requests share: notes, saved lists, colleagues, texts for answers."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from served import CONTACT, OWNER, TENANT, Browser, Served, serving
from sqlalchemy import insert, select, update

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.desk import colleagues, notes, views
from portability.requests.policy import Actor
from portability.trust import audit
from worker.clock import purge

NOTE = "She was angry on the phone; her neighbour tom@mail.example may call."

SAM = Actor("staff", "sam")


@pytest.fixture(scope="module")
def staffed(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("work"), redis_server) as server:
        yield server


def _note(visitor: Browser, export_id: str, text: str, about: str = "request") -> int:
    return visitor.send(f"/staff/exports/{export_id}/notes", text=text, about=about).status_code


def _ids_of_notes(staffed: Served, export_id: str) -> list[str]:
    with reading(staffed.world.engine) as connection:
        of_export = models.desk_note.c.export_id == export_id
        return [*connection.scalars(select(models.desk_note.c.id).where(of_export))]


def _events(staffed: Served, action: str) -> list[dict[str, Any]]:
    with reading(staffed.world.engine) as connection:
        return [dict(event) for event in audit.events(connection) if event["action"] == action]


def test_a_note_about_the_person_stands_with_each_of_their_requests(staffed: Served) -> None:
    """One about the request does not; the audit log has who wrote it, and neither of the texts."""
    first = staffed.world.request("user:usr_noted", since="2026-01-01")
    second = staffed.world.request("user:usr_noted")
    other = staffed.world.request("user:usr_other_noted")
    with staffed.browser("sam", "staff") as visitor:
        assert _note(visitor, first, "The mandate is in the drawer.") == 303
        assert _note(visitor, first, NOTE, "person") == 303
        shown = [html.unescape(visitor.client.get(f"/staff/exports/{each}").text) for each in (first, second, other)]
    assert [NOTE in page for page in shown] == [True, True, False]
    assert ["in the drawer" in page for page in shown] == [True, False, False]
    events = [event for event in _events(staffed, "note.written") if event["export_id"] == first]
    assert [(event["actor"], event["export_id"], event["detail"]["about"]) for event in events] == [
        ("staff:sam", first, "request"),
        ("staff:sam", first, "person"),
    ]
    assert "angry" not in str(events)


def test_a_note_is_checked_and_escaped(staffed: Served) -> None:
    """Not empty, not too long, about one of two things; markup stays text."""
    export_id = staffed.world.request("user:usr_escaped")
    with staffed.browser("sam", "staff") as visitor:
        assert _note(visitor, export_id, "  ") == 400
        assert _note(visitor, export_id, "x" * 2001) == 422
        assert _note(visitor, export_id, "x", "family") == 400
        assert _note(visitor, "a" * 24, "x") == 404
        assert _note(visitor, export_id, "<script>alert(1)</script>") == 303
        page = visitor.client.get(f"/staff/exports/{export_id}").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_only_staff_read_and_write_notes(staffed: Served) -> None:
    """A company's administrator sees the request without them; a person their own, and others do not see the page."""
    export_id = staffed.world.request(f"contact:{CONTACT}", tenant=TENANT)
    with staffed.browser("sam", "staff") as visitor:
        _note(visitor, export_id, NOTE)
    with staffed.browser("adm", "tenant_admin", tenant=TENANT) as visitor:
        assert "angry" not in visitor.client.get(f"/staff/exports/{export_id}").text
        assert _note(visitor, export_id, "x") == 403
    with staffed.browser("ann", "auditor") as visitor:
        assert _note(visitor, export_id, "x") == 404
    own = staffed.world.request("user:usr_olga")
    with staffed.browser("sam", "staff") as visitor:
        _note(visitor, own, NOTE)
    with staffed.browser("usr_olga", "officer") as visitor:
        assert "angry" not in visitor.client.get(f"/staff/exports/{own}").text
        assert _note(visitor, own, "x") == 403


def test_an_officer_takes_a_note_out_before_it_is_delivered(staffed: Served) -> None:
    """With a reason from a list, which the log keeps; support cannot."""
    export_id, second = staffed.world.request("user:usr_mixed_up"), staffed.world.request("user:usr_mixed_up_2")
    with staffed.browser("sam", "staff") as visitor:
        _note(visitor, export_id, NOTE)
        (note_id,) = _ids_of_notes(staffed, export_id)
        address = f"/staff/exports/{export_id}/notes/{note_id}/delete"
        assert address not in visitor.client.get(f"/staff/exports/{export_id}").text
        assert visitor.send(address, reason="wrong").status_code == 403
    with staffed.browser("olga", "officer") as visitor:
        assert address in visitor.client.get(f"/staff/exports/{export_id}").text
        assert visitor.send(address, reason="secret").status_code == 400
        assert visitor.send(address.replace(export_id, second), reason="wrong").status_code == 404
        assert visitor.send(address, reason="other_person").status_code == 303
        assert "angry" not in visitor.client.get(f"/staff/exports/{export_id}").text
    assert _ids_of_notes(staffed, export_id) == []
    (event,) = _events(staffed, "note.deleted")
    assert (event["actor"], event["detail"]["note"]) == ("officer:olga", note_id)
    assert event["detail"]["reason"] == "other_person"


def test_a_list_is_saved_under_a_name(staffed: Served) -> None:
    """It stands beside the tiles with its order, for its owner alone; the same name replaces it; it is deleted."""
    with staffed.browser("sam", "staff") as sam:
        saved = sam.send("/staff/views", name=" Late   today ", state="soon", sort="-due")
        assert saved.headers["location"] == "/staff?state=soon&sort=-due"
        page = sam.client.get(saved.headers["location"]).text
        assert '<a href="/staff?state=soon&amp;sort=-due" aria-current="page"><bdi>Late today</bdi></a>' in page
        again = sam.send("/staff/views", name="Late today", state="failed", sort="due")
        assert again.headers["location"] == "/staff?state=failed&sort=due"
        assert sam.client.get("/staff").text.count(">Late today</bdi></a>") == 1
        for name in ("", " ", "x" * 61):
            assert sam.send("/staff/views", name=name).status_code == 400
        with staffed.browser("sue", "staff") as sue:
            assert "Late today" not in sue.client.get("/staff").text
            view_id = _view_of(staffed, "Late today")
            assert sue.send(f"/staff/views/{view_id}/delete").status_code == 404
        assert sam.send(f"/staff/views/{view_id}/delete").status_code == 303
        assert "Late today" not in sam.client.get("/staff").text


def _view_of(staffed: Served, name: str) -> str:
    with reading(staffed.world.engine) as connection:
        named = models.desk_view.c.name == name
        return str(connection.scalar(select(models.desk_view.c.id).where(named)))


def test_an_officer_saves_lists_for_the_team(staffed: Served) -> None:
    """All who work on requests see it, and only an officer deletes it; a company's administrator does not see it."""
    with staffed.browser("sam", "staff") as sam:
        assert sam.send("/staff/views", name="Team", team="yes").status_code == 403
        with staffed.browser("olga", "officer") as olga:
            assert olga.send("/staff/views", name="Everyone's", state="unassigned", team="yes").status_code == 303
            assert "Everyone&#39;s" in sam.client.get("/staff").text
            view_id = _view_of(staffed, "Everyone's")
            assert sam.send(f"/staff/views/{view_id}/delete").status_code == 403
            with staffed.browser("adm", "tenant_admin", tenant=TENANT) as administrator:
                assert "Everyone&#39;s" not in administrator.client.get("/staff").text
                assert administrator.send("/staff/views", name="Own", state="open").status_code == 303
            assert olga.send(f"/staff/views/{view_id}/delete").status_code == 303
    assert [event["detail"]["team"] for event in _events(staffed, "view.deleted")][-1] is True


def test_there_are_no_more_lists_than_a_page_can_show(staffed: Served) -> None:
    """Twenty; a further list is refused."""
    with staffed.browser("sid", "staff") as visitor:
        for number in range(views.VIEWS_MAX):
            assert visitor.send("/staff/views", name=f"List {number}").status_code == 303
        assert visitor.send("/staff/views", name="One more").status_code == 400


def test_a_request_is_given_to_a_colleague(staffed: Served) -> None:
    """Who has logged in as staff or officer is in the list; others are refused; several go together."""
    export_id, second = staffed.world.request("user:usr_given"), staffed.world.request("user:usr_given_2")
    with staffed.browser("otto", "officer"), staffed.browser(OWNER), staffed.browser("sam", "staff") as sam:
        page = sam.client.get(f"/staff/exports/{export_id}").text
        assert '<option value="otto">otto · privacy officer</option>' in page
        assert f'<option value="{OWNER}"' not in page
        address = f"/staff/exports/{export_id}/assignment/other"
        assert sam.send(address, assignee=OWNER).status_code == 400
        assert sam.send(address, assignee="otto").status_code == 303
        assert "Assigned to otto" in sam.client.get(f"/staff/exports/{export_id}").text
        both: dict[str, Any] = {"selected": [export_id, second], "what": "assign_to"}
        assert sam.send("/staff/bulk", assignee=OWNER, **both).status_code == 400
        asked = sam.send("/staff/bulk", assignee="otto", **both).text
        assert '<input type="hidden" name="assignee" value="otto">' in asked
        assert "Done for 2 of 2." in sam.send("/staff/bulk", assignee="otto", confirmed="yes", **both).text
        listed = sam.client.get("/staff", params={"state": "assigned", "to": "otto"}).text
        assert all(f"/staff/exports/{each}" in listed for each in (export_id, second))
        saved = sam.send("/staff/views", name="Otto", state="assigned", to="otto").headers["location"]
        assert saved == "/staff?state=assigned&sort=due&to=otto"
        assert export_id not in sam.client.get("/staff", params={"state": "unassigned"}).text
    assert _events(staffed, "export.assigned")[-1]["detail"]["to"] == "otto"


def test_a_colleague_who_has_left_is_forgotten(staffed: Served) -> None:
    """Without a role at the next login at once; without a login after 90 days, and the clock deletes the row."""
    for sub in ("eva", "kim"):
        with staffed.browser(sub, "staff"):
            pass
    engine = staffed.world.engine
    with staffed.browser("eva"), reading(engine) as connection:
        ids = {row["id"] for row in colleagues.listed(connection)}
        assert "kim" in ids
        assert "eva" not in ids
    row = models.colleague
    with writing(engine) as connection:
        long_ago = now(-colleagues.KEPT_SECONDS - 60)
        connection.execute(update(row).where(row.c.id == "kim").values(logged_in_at=long_ago))
        assert "kim" not in {each["id"] for each in colleagues.listed(connection)}
    purge.purge(engine, 24)
    with reading(engine) as connection:
        assert connection.scalar(select(row.c.id).where(row.c.id == "kim")) is None


def test_a_list_of_colleagues_has_who_logged_in_last(staffed: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more people than it shows; they are in the order of their ids."""
    monkeypatch.setattr(colleagues, "LISTED_MAX", 2)
    row = models.colleague
    with writing(staffed.world.engine) as connection:
        for age, name in enumerate(("zoe", "abe", "bob")):
            colleagues.note_login(connection, name, ["staff"])
            connection.execute(update(row).where(row.c.id == name).values(logged_in_at=now(60 - age)))
        assert [each["id"] for each in colleagues.listed(connection)] == ["abe", "zoe"]
        connection.execute(row.delete().where(row.c.id.in_(["zoe", "abe", "bob"])))


def test_a_refusal_begins_with_a_text_in_the_language_of_the_person(staffed: Served) -> None:
    """Filled in, with its ground; the officer changes it, and the person reads what the officer sent."""
    export_id = staffed.world.request(f"user:{OWNER}", since="2026-02-01")
    with writing(staffed.world.engine) as connection:
        this_export = models.export.c.id == export_id
        connection.execute(update(models.export).where(this_export).values(language="de"))
    page, address = f"/staff/exports/{export_id}", f"/staff/exports/{export_id}/texts/no_mandate"
    with staffed.browser("sam", "staff") as visitor:
        assert address not in visitor.client.get(page).text
        assert visitor.client.get(address).status_code == 403
    with staffed.browser("olga", "officer") as visitor:
        assert f'href="{address}">No mandate</a>' in visitor.client.get(page).text
        text = visitor.client.get(address).text
        assert '<textarea id="reason" name="reason" rows="8" required maxlength="1000" lang="de"' in text
        assert f"mit der Referenz {export_id} an" in text
        assert '<input type="hidden" name="basis" value="authority">' in text
        assert "Send it to" in visitor.client.get(address, params={"language": "en"}).text
        assert visitor.client.get(f"/staff/exports/{export_id}/texts/none").status_code == 404
        sent = {"reason": "Bitte rufen Sie an.", "basis": "authority", "confirmed": "yes"}
        assert visitor.send(f"{page}/deny", **sent).status_code == 303
    with staffed.browser(OWNER) as visitor:
        assert "Bitte rufen Sie an." in visitor.client.get(f"/me/exports/{export_id}").text


def test_a_question_is_shown_to_be_copied(staffed: Served) -> None:
    """For support, too, with the day of the request; nothing is sent, and an ended request has no questions."""
    export_id = staffed.world.request("user:usr_asked", received_at="2026-11-20")
    address = f"/staff/exports/{export_id}/texts/which_data"
    with staffed.browser("sam", "staff") as visitor:
        assert address in visitor.client.get(f"/staff/exports/{export_id}").text
        text = visitor.client.get(address).text
        assert f"your request of 20 November 2026 (reference {export_id})" in text
        assert "readonly" in text
        visitor.send(f"/staff/exports/{export_id}/cancel")
        assert address not in visitor.client.get(f"/staff/exports/{export_id}").text


def _marks(text: str) -> list[str]:
    """The notes and recipients that a page shows."""
    return re.findall(r"Note \d+\.|Provider \d+(?=</bdi>)", text)


@pytest.mark.slow
def test_long_lists_of_pages_continue_on_the_next(staffed: Served) -> None:
    """A link leads to the next page of notes, events and recipients; a wrong one is refused, also of sessions."""
    export_id = staffed.world.request("user:usr_long")
    with writing(staffed.world.engine) as connection:
        for number in range(30):
            notes.write(connection, staffed.world.place.settings, export_id, f"Note {number}.", "request", actor=SAM)
            for _repeat in range(2):
                audit.record(connection, "export.extended", actor="officer:olga", export_id=export_id)
        url = "https://provider.example/x"
        values = {
            "age_key": f"age1{'q' * 58}",
            "jwks_url": url,
            "webhook_url": url,
            "webhook_kid": "x",
            "created_by": "x",
        }
        common = {
            **values,
            "domain": "provider.example",
            "country": "DE",
            "mechanism": "adequacy",
            "created_at": datetime.now(UTC),
        }
        rows = [{**common, "id": f"rcp_{number:020}", "name": f"Provider {number}"} for number in range(60)]
        connection.execute(insert(models.recipient), rows)
    page = f"/staff/exports/{export_id}"
    with staffed.browser("olga", "officer") as visitor:
        for path, name, size in ((page, "notes", 20), ("/staff/recipients", "cursor", 50), (page, "events", 0)):
            text = visitor.client.get(path).text
            address = re.search(rf"{path}\?{name}=([\w-]+)", text)
            assert address, name
            later = visitor.client.get(path, params={name: address[1]})
            assert later.status_code == 200
            shown = _marks(later.text)
            assert (len(_marks(text)), bool({*shown} & {*_marks(text)})) == (size or 20, not size)
            assert visitor.client.get(path, params={name: "x"}).status_code == 400
        assert visitor.client.get("/me/sessions?cursor=x").status_code == 400
    listed = staffed.call("GET", "/v1/recipients", "olga", "officer", params={"limit": 7}).json()
    after = staffed.call("GET", "/v1/recipients", "olga", "officer", params={"cursor": listed["next"]}).json()
    assert (len(listed["recipients"]), after["next"]) == (7, None)
    assert not {row["id"] for row in listed["recipients"]} & {row["id"] for row in after["recipients"]}
    assert staffed.call("GET", "/v1/recipients", params={"cursor": "bm9uc2Vuc2U"}).status_code == 400
