"""The limits of docs/pages.md, each measured by attempts until it answers 429."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import httpx
import pytest
from factories import MadeUpExporter, things
from repository import ROOT, table
from served import CONTACT, OWNER, TENANT, Served, serving
from sqlalchemy import delete

from portability.api import SubjectKind
from portability.database import models
from portability.database.engine import writing
from portability.locale import values
from portability.requests import exports

Answers = Iterator[httpx.Response]
UNITS = {"minute": 60, "minutes": 60, "hour": 3600}
ROWS = {row["limit"].strip("`"): row for row in table(ROOT / "docs/pages.md", "limit")}
BEGAN = 3_600_002.0
"""Two seconds after the begin of a period of each length."""
CONTACT_ID = f"contact:{CONTACT}"


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server on which people without account log in, too."""
    mail: dict[str, Any] = {"smtp_url": "smtp://127.0.0.1:1", "mail_from": "data@portability.example"}
    exporter = {"made_up": MadeUpExporter(things(5), subject_kinds=frozenset(SubjectKind))}
    with serving(tmp_path_factory.mktemp("limits"), redis_server, exporters=exporter, **mail) as server:
        yield server


def failed_logins(served: Served) -> Answers:
    with served.browser() as visitor:
        while True:
            asked = httpx.URL(visitor.client.get("/login").headers["location"]).params
            yield visitor.client.get("/login/callback", params={"code": "forged", "state": asked["state"]})


def codes_of_links(served: Served, way: str, count: int, **form: str) -> Answers:
    """Send a form of the page of a link, of several links in turn."""
    export_id = served.ready(CONTACT_ID, tenant=TENANT)
    pages = [f"/d/{served.link(export_id, audience='code').token}" for _ in range(count)]
    with served.browser() as visitor:
        token = visitor.token()
        while True:
            for page in pages:
                yield visitor.client.post(f"{page}/{way}", data={**form, "csrf": token})


def codes_of_addresses(served: Served, address: Callable[[int], str]) -> Answers:
    with served.browser() as visitor:
        for number in range(100):
            yield visitor.send("/login/address/send", page="/", address=address(number))


def wrong_links(served: Served) -> Answers:
    with served.browser() as visitor:
        while True:
            yield visitor.client.get("/d/x")


def parts(served: Served) -> Answers:
    token = served.link(served.ready()).token
    with served.browser(OWNER) as visitor:
        claimed = visitor.send(f"/d/{token}/volumes/1", page=f"/d/{token}").headers["location"]
        while True:
            yield visitor.client.get(claimed, headers={"Range": "bytes=0-0"})


def requests_since(served: Served, since: Callable[[int], str]) -> Answers:
    with served.browser(OWNER) as visitor:
        token = visitor.token("/me")
        for number in range(1, 100):
            form = {"profile": "access", "since": since(number), "csrf": token}
            yield visitor.client.post("/me/exports", data=form)


def retries(served: Served) -> Answers:
    export_id = served.ready()
    while True:
        yield served.call("POST", f"/v1/exports/{export_id}/retry", json={"gaps": True})


def receipts(served: Served) -> Answers:
    address = f"{served.url}/v1/transfers/trf_00000000000000000000/receipt"
    while True:
        yield httpx.post(address, content=b"x", headers={"Content-Type": "application/jose"})


def rotations(served: Served) -> Answers:
    address = f"{served.url}/v1/recipients/rcp_00000000000000000000/rotation"
    while True:
        yield httpx.post(address, content=b"x", headers={"Content-Type": "application/jose"})


def token_requests(served: Served) -> Answers:
    while True:
        yield httpx.post(f"{served.url}/v1/oauth/token", data={"grant_type": "authorization_code"})


def wrong_tokens(served: Served) -> Answers:
    while True:
        yield httpx.get(f"{served.url}/v1/pulls/x", headers={"Authorization": "DPoP x"})


def arrivals(served: Served) -> Answers:
    with served.browser() as visitor:
        while True:
            yield visitor.client.get("/oauth/authorize")


ATTEMPTS: dict[str, Callable[[Served], Answers]] = {
    "failed_logins": failed_logins,
    "wrong_codes": lambda served: codes_of_links(served, "code/check", 1, code="00000000"),
    "sent_codes": lambda served: codes_of_links(served, "code", 5),
    "link_codes": lambda served: codes_of_links(served, "code", 1),
    "network_codes": lambda served: codes_of_addresses(served, lambda number: f"reader{number}@news.example"),
    "address_codes": lambda served: codes_of_addresses(served, lambda _number: "reader@news.example"),
    "wrong_links": wrong_links,
    "parts": parts,
    "requests": lambda served: requests_since(served, lambda _number: "2020-01-01"),
    "open_requests": lambda served: requests_since(served, lambda number: f"2021-01-{number:02}"),
    "retries": retries,
    "receipts": receipts,
    "rotations": rotations,
    "token_requests": token_requests,
    "wrong_tokens": wrong_tokens,
    "arrivals": arrivals,
}


@pytest.fixture(autouse=True)
def _as_at_the_beginning(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(served.app.state.place.limits, "_clock", lambda: BEGAN)
    yield
    with writing(served.world.engine) as connection:
        connection.execute(delete(models.code))
        for row in connection.execute(models.export.select()).mappings().all():
            if row["state"] == "queued":
                exports.cancel(connection, row["id"], actor="operator:test")


def test_every_limit_is_measured() -> None:
    """The table of docs/pages.md has the limits of this file, and no other."""
    assert ROWS.keys() == ATTEMPTS.keys()


@pytest.mark.parametrize("limit", ATTEMPTS)
def test_a_limit_is_what_the_page_says(served: Served, limit: str) -> None:
    """The attempts of the table are answered in another way, the next is refused, and the answer says when it ends."""
    most, period = int(ROWS[limit]["most"]), ROWS[limit]["in"]
    answers, began = ATTEMPTS[limit](served), monotonic()
    before = [next(answers).status_code for _ in range(most)]
    refused = next(answers)
    assert 429 not in before
    assert refused.status_code == 429
    seconds = int(refused.headers["retry-after"])
    if period:
        number, unit = re.fullmatch(r"(\d+) (\w+)", period).groups()  # type: ignore[union-attr]  # the table has nothing else
        assert 0 <= int(number) * UNITS[unit] - seconds <= monotonic() - began + 1
    if refused.headers["content-type"].startswith("text/html"):
        end = values.ahead("en", seconds) if period else "Wait until a request has ended"
        assert end in refused.text
    else:
        assert refused.json()["code"] == "too_many_attempts"
