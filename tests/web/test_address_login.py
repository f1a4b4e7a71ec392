"""People without account: the login by a code, what it opens, and what it does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from factories import MadeUpExporter, things
from given_back import form_again
from served import Browser, Served, serving
from sqlalchemy import func, select, update

from portability.api import SubjectKind
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.delivery import codes
from portability.requests import slices

# Requests stay on the server of all tests here: a test that makes one has an address of its own.
ADDRESS = "reader@news.example"
KNOWN = "known@news.example"
NUMBER = "+493090182020"
KINDS = frozenset(SubjectKind)


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("address")
    ways: dict[str, Any] = {"smtp_url": "smtp://127.0.0.1:1", "mail_from": "data@vlint.example"}
    exporter = MadeUpExporter(things(5), subject_kinds=KINDS)
    sms = "http://127.0.0.1:1/messages"
    with serving(folder, redis_server, exporters={"made_up": exporter}, sms_url=sms, **ways) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_codes(served: Served) -> None:
    """Codes of one test do not count against the next."""
    with writing(served.world.engine) as connection:
        connection.execute(models.code.delete())


def ask_code(visitor: Browser, address: str = ADDRESS) -> None:
    answer = visitor.send("/login/address/send", page="/login/address", address=address)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login/address")


def newest_code(served: Served) -> str:
    with reading(served.world.engine) as connection:
        newest = select(models.code.c.id).order_by(models.code.c.created_at.desc(), models.code.c.id.desc())
        return str(codes.text(connection, served.world.place.settings.keys, str(connection.scalar(newest))))


def log_in(served: Served, visitor: Browser, address: str = ADDRESS) -> None:
    ask_code(visitor, address)
    answer = visitor.send("/login/address/check", page="/login/address", code=newest_code(served))
    assert answer.headers["location"] == "/me"


def sent(served: Served) -> int:
    with reading(served.world.engine) as connection:
        return connection.scalar(select(func.count()).select_from(models.code)) or 0


@pytest.mark.requirement("R15")
@pytest.mark.parametrize(
    ("address", "kind", "identifier"),
    [("SERVED@NEWS.EXAMPLE", "email", "served@news.example"), ("+49 30 9018 2020", "phone", NUMBER)],
)
def test_a_person_without_account_gets_their_data(served: Served, address: str, kind: str, identifier: str) -> None:
    """Code, request, download. The audit log and the request name a pseudonym, not the address."""
    with served.browser() as visitor:
        assert "I have no account" in visitor.client.get("/").text
        log_in(served, visitor, address)
        place = visitor.send("/me/exports", page="/me", profile="access").headers["location"]
        served.world.advance_all()
        page = visitor.client.get(place).text
        assert "Ready" in page
        (volume,) = re.findall(rf'action="({place}/volumes/\d+)"', page)
        begun = visitor.send(volume, page=place)
        archive = visitor.client.get(begun.headers["location"])
        assert archive.content[:4] == b"PK\x03\x04"
    export_id = place.rpartition("/")[2]
    with reading(served.world.engine) as connection:
        row = connection.execute(select(models.export).where(models.export.c.id == export_id)).mappings().one()
        events = str(connection.execute(select(models.audit_event)).all())
    assert (row["subject_kind"], row["subject_id"], row["channel"]) == (kind, identifier, "page")
    assert row["requested_by"] == f"subject:{row['subject_ref']}"
    assert identifier not in events


@pytest.mark.requirement("R14")
def test_an_address_sees_nothing_of_others(served: Served) -> None:
    """Not an export of another address, of an account with the same name, nor the pages of staff."""
    of_user = served.ready("user:reader")
    of_other = served.ready("email:other@news.example")
    with served.browser() as visitor:
        log_in(served, visitor)
        for export_id in (of_user, of_other):
            assert visitor.client.get(f"/me/exports/{export_id}").status_code == 404
            assert visitor.send(f"/me/exports/{export_id}/volumes/1", page="/me").status_code == 404
            assert export_id not in visitor.client.get("/me").text
        assert visitor.client.get("/staff").status_code == 403
        listed = {each["id"] for each in visitor.client.get("/v1/exports").json()["exports"]}
        assert not listed & {of_user, of_other}


@pytest.mark.requirement("R14")
def test_every_address_gets_the_same_answer(served: Served) -> None:
    """Whether a subject is known or not: status, place and page are the same, byte for byte."""
    served.ready(f"email:{KNOWN}")
    pages = []
    for address in (KNOWN, "unknown@news.example", "usr_owner@vlint.example"):
        with served.browser() as visitor:
            ask_code(visitor, address)
            pages.append(re.sub(r'name="csrf" value="[^"]+"', "", visitor.client.get("/login/address").text))
    assert pages[0] == pages[1] == pages[2]
    assert not any(address in pages[0] for address in (KNOWN, "unknown@"))


def test_a_code_is_of_its_browser(served: Served) -> None:
    """Another browser cannot use it, nor use up its attempts."""
    with served.browser() as visitor, served.browser() as stranger:
        ask_code(visitor)
        code = newest_code(served)
        for _ in range(6):
            stranger.send("/login/address/check", page="/login/address", code=code)
        assert stranger.client.get("/me").status_code == 303
        answer = visitor.send("/login/address/check", page="/login/address", code=code)
        assert answer.headers["location"] == "/me"


def test_a_code_logs_in_once(served: Served) -> None:
    """Neither this browser nor a copy of its cookie from before the login can use it again."""
    with served.browser() as visitor, served.browser() as thief:
        ask_code(visitor)
        copied = {"Cookie": f"portability={visitor.client.cookies['portability']}"}
        form = {"csrf": visitor.token("/login/address"), "code": newest_code(served)}
        assert visitor.client.post("/login/address/check", data=form).headers["location"] == "/me"
        for browser, headers in ((visitor, {}), (thief, copied)):
            csrf = {} if headers else {"csrf": visitor.token("/me")}
            answer = browser.client.post("/login/address/check", data={**form, **csrf}, headers=headers)
            assert answer.headers["location"] == "/login/address"
        assert thief.client.get("/me", headers=copied).status_code == 303


def test_a_wrong_code_logs_no_one_in(served: Served) -> None:
    """The page says so, and asks again; another address can be entered instead."""
    with served.browser() as visitor:
        ask_code(visitor)
        answer = visitor.send("/login/address/check", page="/login/address", code="0")
        assert answer.headers["location"] == "/login/address"
        assert "code is wrong" in visitor.client.get("/login/address").text
        assert visitor.client.get("/me").status_code == 303
        visitor.send("/login/address/other", page="/login/address")
        assert 'name="address"' in visitor.client.get("/login/address").text


@pytest.mark.parametrize("address", ["reader", "@", "a@b@c", "030 9018 2020", "+49", "x" * 290 + "@news.example"])
def test_what_is_no_address_gets_no_code(served: Served, address: str) -> None:
    """A text, a number without country code, an address that is too long: one sentence, and nothing is sent.

    The field has what was entered; no address of a page and no cookie has it.
    """
    with served.browser() as visitor:
        answer = visitor.send("/login/address/send", page="/login/address", address=address)
        assert (answer.status_code, "not a valid address" in answer.text) == (400, True)
        assert f'value="{address}"' in answer.text
        assert 'aria-invalid="true"' in answer.text
        assert "not a valid address" not in visitor.client.get("/login/address").text
    assert sent(served) == 0


def test_a_network_gets_ten_codes_an_hour(served: Served) -> None:
    """Whatever addresses it names; the answer says when to try again."""
    with served.browser() as visitor:
        for number in range(10):
            ask_code(visitor, f"reader{number}@news.example")
        answer = visitor.send("/login/address/send", page="/", address=ADDRESS)
    assert (answer.status_code, int(answer.headers["retry-after"]) <= 3601) == (429, True)
    assert sent(served) == 10


def test_an_address_gets_five_codes_an_hour(served: Served) -> None:
    """Its sixth code is refused, also to another browser."""
    with served.browser() as visitor:
        for _ in range(5):
            ask_code(visitor)
    with served.browser() as visitor:
        assert visitor.send("/login/address/send", page="/login/address", address=ADDRESS).status_code == 429


def test_the_login_ends_after_half_an_hour(served: Served) -> None:
    """Sooner than that of an account: the code was the only proof."""
    with served.browser() as visitor:
        log_in(served, visitor)
        assert visitor.client.get("/me").status_code == 200
        table = models.session
        with reading(served.world.engine) as connection:
            times = connection.execute(
                select(table.c.created_at, table.c.expires_at).order_by(table.c.created_at.desc())
            )
            newest = times.first()
        assert newest
        assert timedelta(seconds=1799) <= newest.expires_at - newest.created_at <= timedelta(seconds=1801)


def test_an_address_of_an_account_leads_to_its_login(served: Served) -> None:
    """The page of the request says so; it is answered, so it is not overdue, and the request log says how."""
    with served.browser() as visitor:
        log_in(served, visitor, "has-account@news.example")
        place = visitor.send("/me/exports", page="/me", profile="portability").headers["location"]
        export_id = place.rpartition("/")[2]
        with writing(served.world.engine) as connection:
            failed = {"state": "failed", "error_code": "address_of_account", "due_at": now(-86_400)}
            connection.execute(update(models.export).where(models.export.c.id == export_id).values(**failed))
            slices.end_all(connection, export_id)
        page = visitor.client.get(place).text
        assert "Please log in to your account" in page
        assert "overdue" not in page
    with served.browser("olga", "officer") as officer:
        assert export_id not in officer.client.get("/staff").text
    log = served.call("GET", "/v1/requests", "olga", "officer").text
    assert '"log_in"' in log


def test_it_is_offered_only_where_codes_can_be_sent(redis_server: str, tmp_path: Any) -> None:
    """Without mail server and gateway there is no page; with one of them, the page names that kind."""
    with serving(tmp_path / "none", redis_server) as server, server.browser() as visitor:
        assert visitor.client.get("/login/address").status_code == 404
        assert "no account" not in visitor.client.get("/").text
    only: dict[str, Any] = {"sms_url": "https://gateway.example/messages", "address_login": "phone"}
    with serving(tmp_path / "sms", redis_server, **only) as server, server.browser() as visitor:
        page = visitor.client.get("/login/address").text
        assert "Phone number with country code" in page
        refused = visitor.send("/login/address/send", page="/login/address", address=ADDRESS)
        assert "not a valid address" in refused.text


def test_an_address_comes_back_where_a_limit_is_reached(served: Served) -> None:
    """To be sent later, as it was entered."""
    with served.browser() as visitor:
        for _time in range(11):
            refused = visitor.send("/login/address/send", address="Ann@Mail.example")
        visitor.send("/login/address/other")
        again = form_again(visitor, refused)
    assert (refused.status_code, again.status_code) == (429, 200)
    assert 'name="address" value="Ann@Mail.example"' in again.text
