"""What is sent twice at the same moment, by a double click or an impatient program, takes effect once (PostgreSQL)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import servers
from served import Browser, Served, serving
from simultaneous import in_threads
from sqlalchemy import Table, func, select
from transferring import Provider, providing

from portability.database import models
from portability.database.engine import reading
from portability.trust import audit, keys

TIMES = 4


@pytest.fixture(scope="module")
def impatient(
    redis_server: str, pg_server: servers.Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    name = pg_server.create_database()
    settings: dict[str, Any] = {"database_url": pg_server.url(name), "allow_loopback": True, "approvals": "policy"}
    with serving(tmp_path_factory.mktemp("impatient"), redis_server, **settings) as server:
        with server.world.engine.begin() as connection:
            keys.ensure(connection, server.world.place.settings.keys, actor="operator:test")
        yield server
        server.world.engine.dispose()
    pg_server.drop_database(name)


@pytest.fixture
def unrecorded() -> Iterator[Provider]:
    """A provider that is not recorded yet."""
    with providing() as made:
        yield made


def _clicked(visitor: Browser, path: str, **fields: str) -> list[int]:
    """Send one form several times at the same moment, with the same cookie; returns the statuses, sorted."""
    form, cookies = {**fields, "csrf": visitor.token()}, dict(visitor.client.cookies)
    address = visitor.client.base_url.join(path)

    def send(_number: int) -> int:
        return httpx.post(address, data=form, cookies=cookies, timeout=60).status_code

    return sorted(in_threads(TIMES, send))


def _called(impatient: Served, method: str, path: str, sub: str, **more: Any) -> list[int]:
    """Call the API several times at the same moment as an officer; returns the statuses, sorted."""
    headers = impatient.bearer(sub, "officer")

    def send(_number: int) -> int:
        return httpx.request(method, f"{impatient.url}{path}", headers=headers, timeout=60, **more).status_code

    return sorted(in_threads(TIMES, send))


def _count(impatient: Served, table: Table) -> int:
    with reading(impatient.world.engine) as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _events(impatient: Served, action: str) -> int:
    with reading(impatient.world.engine) as connection:
        return sum(event["action"] == action for event in audit.events(connection))


def test_a_recall_opens_one_breach_record(impatient: Served) -> None:
    """And the person gets one message; a recall for another reason is another breach with deadlines of its own."""
    export_id = impatient.ready("user:usr_recalled")
    page = f"/staff/exports/{export_id}/recall"
    with impatient.browser("olga", "officer") as visitor:
        assert _clicked(visitor, page, reason="wrong address", confirmed="yes") == [303] * TIMES
        assert visitor.send(page, reason="wrong address ", confirmed="yes").status_code == 303
        assert _count(impatient, models.recall) == 1
        assert visitor.send(page, reason="a second recipient", confirmed="yes").status_code == 303
    assert _count(impatient, models.recall) == 2
    with reading(impatient.world.engine) as connection:
        kinds = connection.scalars(
            select(models.notification.c.kind).where(models.notification.c.export_id == export_id)
        )
        assert [*kinds].count("recalled") == 2


def test_a_note_is_written_once(impatient: Served) -> None:
    """Another person's note, and another text, are other notes."""
    page = f"/staff/exports/{impatient.world.request('user:usr_noted')}/notes"
    with impatient.browser("sam", "staff") as sam, impatient.browser("olga", "officer") as olga:
        assert _clicked(sam, page, text="Called, no answer.", about="request") == [303] * TIMES
        assert _count(impatient, models.desk_note) == 1
        olga.send(page, text="Called, no answer.", about="request")
        sam.send(page, text="Called again.", about="request")
    assert _count(impatient, models.desk_note) == 3


def test_a_list_is_saved_and_deleted_once(impatient: Served) -> None:
    """No answer is an internal error."""
    with impatient.browser("sam", "staff") as visitor:
        assert _clicked(visitor, "/staff/views", name="Mine", state="open") == [303] * TIMES
        with reading(impatient.world.engine) as connection:
            (view_id,) = connection.scalars(select(models.desk_view.c.id)).all()
        assert _clicked(visitor, f"/staff/views/{view_id}/delete") == [303, 404, 404, 404]
    assert _events(impatient, "view.deleted") == 1


def test_a_recipient_is_recorded_approved_and_removed_once(impatient: Served, unrecorded: Provider) -> None:
    """Two with one domain would be one name for two keys: who removes one would leave the other."""
    urls = {"jwks_url": f"{unrecorded.server.url}/jwks.json", "webhook_url": f"{unrecorded.server.url}/hook"}
    body = {
        "name": "B",
        "domain": "localhost",
        "country": "DE",
        "age_key": str(unrecorded.identity.to_public()),
        **urls,
    }
    assert _called(impatient, "POST", "/v1/recipients", "one", json=body) == [201, 409, 409, 409]
    with reading(impatient.world.engine) as connection:
        (recipient,) = connection.scalars(select(models.recipient.c.id)).all()
    assert _called(impatient, "POST", f"/v1/recipients/{recipient}/approve", "two") == [200, 409, 409, 409]
    assert _called(impatient, "DELETE", f"/v1/recipients/{recipient}", "two") == [204, 404, 404, 404]
    done = ("recipient.added", "recipient.approved", "recipient.removed")
    assert [_events(impatient, action) for action in done] == [1, 1, 1]
