"""Ids as companies and login providers give them: with slashes, bars and colons, from the login to the archive."""

from __future__ import annotations

import pytest
from served import Served
from sqlalchemy import select

from portability.database import models
from portability.database.engine import reading

IDS = ["G/1", "auth0|5f7c8ec7", "f:1d2e3f:ann", "gid://shop/Customer/7"]


@pytest.mark.parametrize("sub", IDS)
def test_a_person_gets_their_copy(served: Served, sub: str) -> None:
    """They ask on their page and download; the page of their copy is found under the copy's id alone."""
    with served.browser(sub) as visitor:
        page = visitor.send("/me/exports", profile="access").headers["location"]
        served.world.advance_all()
        claimed = visitor.send(f"{page}/volumes/1", page=page)
        assert claimed.status_code == 303
        assert visitor.client.get(claimed.headers["location"]).content.startswith(b"PK")
    with reading(served.world.engine) as connection:
        keys = connection.scalars(select(models.volume.c.object_key)).all()
    assert all(sub not in key for key in keys)


@pytest.mark.parametrize("sub", IDS)
def test_an_id_is_the_whole_id(served: Served, sub: str) -> None:
    """A beginning, a continuation and another case of it are other people: for them the copy does not exist."""
    export_id = served.call("POST", "/v1/exports", sub, json={"profile": "access", "subject": f"user:{sub}"}).json()[
        "id"
    ]
    others = [sub[:-1], f"{sub}0", f"{sub}/1", sub.swapcase()]
    assert [served.call("GET", f"/v1/exports/{export_id}", other).status_code for other in others] == [404] * 4
    assert served.call("GET", f"/v1/exports/{export_id}", sub).status_code == 200


def test_staff_and_deletion_jobs_name_such_an_id(served: Served) -> None:
    """In a form, in a body, and encoded in a query."""
    asked = {"profile": "access", "subject": "user:H/22", "reason": "letter"}
    export_id = served.call("POST", "/v1/exports", "sam", "staff", json=asked).json()["id"]
    with served.browser("sam", "staff") as visitor:
        assert visitor.send("/staff/search", q="H/22").headers["location"] == f"/staff/exports/{export_id}"
        sent = visitor.send("/staff/exports", kind="contact", id="K|9", tenant="ten_a", reason="letter")
        assert sent.status_code == 303
    held = served.call("GET", "/v1/erasure-holds", "olga", "officer", params={"subject": "user:H/22"})
    assert held.status_code == 200
    assert "H/22" in held.text


@pytest.mark.parametrize(
    "subject", ["user:a/../b", "user:../b", "user:ann@mail.example", "user:+493090182020", "tenant:a/b"]
)
def test_what_is_no_such_id_is_refused(served: Served, subject: str) -> None:
    """Parts that a path resolves, addresses, and ids of tenants, which settings contain."""
    answer = served.call(
        "POST", "/v1/exports", "sam", "officer", json={"profile": "access", "subject": subject, "reason": "x"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_subject")
    assert subject.partition(":")[2] not in answer.text
