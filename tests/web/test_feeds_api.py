"""Feeds by the API: people and administrators see and use their own, staff and officers by their roles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import feeding
import pytest
from factories import MadeUpExporter, things
from sending import sender
from served import CONTACT, OTHER, OWNER, TENANT, Served
from transferring import EXPORTER

ADMIN: dict[str, Any] = {"tenant": TENANT}


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with sender(tmp_path_factory.mktemp("feeds"), redis_server, MadeUpExporter(things(5))) as server:
        yield server


@pytest.fixture
def of_person(served: Served) -> feeding.Feed:
    return feeding.begin(served.world, f"user:{OWNER}", profile="access")


@pytest.fixture
def of_contact(served: Served) -> feeding.Feed:
    return feeding.begin(served.world, f"contact:{CONTACT}", profile="access", tenant=TENANT)


def listed(served: Served, sub: str, *roles: str, **claims: Any) -> set[str]:
    headers = served.bearer(sub, *roles, **claims)
    answer = served.call("GET", "/v1/feeds", sub, *roles, headers=headers)
    assert answer.status_code == 200, answer.text
    return {each["id"] for each in answer.json()["feeds"]}


def test_each_sees_their_own(served: Served, of_person: feeding.Feed, of_contact: feeding.Feed) -> None:
    """A person theirs, an administrator those of the company's contacts, officers all; no other person any."""
    assert of_person.id in listed(served, OWNER)
    assert of_contact.id not in listed(served, OWNER)
    assert listed(served, OTHER) == set()
    assert of_contact.id in listed(served, "adm", "tenant_admin", **ADMIN)
    assert of_person.id not in listed(served, "adm", "tenant_admin", **ADMIN)
    assert listed(served, "adm", "tenant_admin", tenant="ten_b") == set()
    assert {of_person.id, of_contact.id} <= listed(served, "olga", "officer")


def test_a_person_asks_for_the_next_archive(served: Served, of_person: feeding.Feed) -> None:
    """201 and an export; while it is open, 200 and the same; its id leads to it, and the feed moves with it."""
    path = f"/v1/feeds/{of_person.id}"
    first = served.call("POST", f"{path}/next")
    assert (first.status_code, first.json()["number"]) == (201, 0)
    export_id = first.json()["requested"]
    assert first.headers["location"] == f"/v1/exports/{export_id}"
    again = served.call("POST", f"{path}/next", json={})
    assert (again.status_code, again.json()["requested"]) == (200, export_id)
    assert served.call("GET", path).json()["running"] == export_id
    served.world.advance_all()
    shown = served.call("GET", path).json()
    assert (shown["number"], shown["export_id"], shown["running"]) == (1, export_id, None)


def test_a_cursor_has_to_be_the_last(served: Served, of_person: feeding.Feed) -> None:
    """The cursor of the last archive is taken; an older cursor, one of another feed, and a text are `stale_cursor`."""
    cursors = [feeding.changes(of_person.next())["cursor"]]
    cursors.append(feeding.changes(of_person.next())["cursor"])
    other = feeding.changes(feeding.begin(served.world, f"user:{OWNER}", profile="access").next())["cursor"]
    path = f"/v1/feeds/{of_person.id}/next"
    for wrong in (cursors[0], other, "a.b.c"):
        answer = served.call("POST", path, json={"cursor": wrong})
        assert (answer.status_code, answer.json()["code"]) == (400, "stale_cursor")
    assert served.call("POST", path, json={"cursor": cursors[1]}).status_code == 201


def test_a_key_makes_one_archive(served: Served, of_person: feeding.Feed) -> None:
    """The same Idempotency-Key is the same archive, also once it is ready; for another feed it is refused."""
    path, key = f"/v1/feeds/{of_person.id}/next", {"Idempotency-Key": f"key {of_person.id}"}

    def asked(where: str) -> Any:
        return served.call("POST", where, headers={**served.bearer(OWNER), **key})

    first = asked(path).json()["requested"]
    served.world.advance_all()
    assert asked(path).json()["requested"] == first
    other = feeding.begin(served.world, f"user:{OWNER}", profile="access")
    assert asked(f"/v1/feeds/{other.id}/next").json()["code"] == "key_reused"


def test_staff_give_a_reason(served: Served, of_contact: feeding.Feed) -> None:
    """Who asks for another person's data says why; an auditor gets 404 as for a feed that does not exist."""
    path = f"/v1/feeds/{of_contact.id}"
    answer = served.call("POST", f"{path}/next", "olga", "officer")
    assert (answer.status_code, answer.json()["code"]) == (400, "reason_required")
    given = served.call("POST", f"{path}/next", "olga", "officer", json={"reason": "Ticket 4711"})
    assert given.status_code == 201
    for method, where in (("GET", path), ("POST", f"{path}/next"), ("DELETE", path)):
        refused = served.call(method, where, "ann", "auditor")
        assert (refused.status_code, refused.json()["code"]) == (404, "unknown_feed")


def test_an_end_is_final(served: Served, of_person: feeding.Feed) -> None:
    """The open archive is cancelled, and nothing more is made; a second end is refused."""
    path = f"/v1/feeds/{of_person.id}"
    export_id = served.call("POST", f"{path}/next").json()["requested"]
    assert served.call("DELETE", path).status_code == 204
    assert served.call("GET", path).json()["ended_at"] is not None
    assert served.call("GET", f"/v1/exports/{export_id}").json()["state"] == "cancelled"
    for answer in (served.call("DELETE", path), served.call("POST", f"{path}/next")):
        assert (answer.status_code, answer.json()["code"]) == (409, "feed_ended")


def test_a_weak_login_is_asked_again(served: Served, of_person: feeding.Feed) -> None:
    """To ask for data, and to end what delivers it, a second factor is needed; to look, none is."""
    path, headers = f"/v1/feeds/{of_person.id}", served.bearer(OWNER, amr=["pwd"])
    assert served.call("GET", path, headers=headers).status_code == 200
    for method, where in (("POST", f"{path}/next"), ("DELETE", path)):
        assert served.call(method, where, headers=headers).json()["code"] == "step_up_required"


def test_a_feed_of_parts_asks_for_the_same_parts(served: Served) -> None:
    """The next archive has the exporters and formats with which the feed was begun."""
    feed = feeding.begin(served.world, f"user:{OWNER}", profile="access", include=[EXPORTER])
    requested = served.call("POST", f"/v1/feeds/{feed.id}/next").json()["requested"]
    served.world.advance_all()
    assert {each["exporter"] for each in served.call("GET", f"/v1/exports/{requested}").json()["datasets"]} == {
        EXPORTER
    }
