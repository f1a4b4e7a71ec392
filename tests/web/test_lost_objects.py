"""A download of a volume whose object the storage has lost: nothing was delivered, and nothing says that it was."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import httpx
import pytest
import servers
from served import OWNER, Served, serving
from sqlalchemy import select
from structlog.testing import capture_logs

from portability.database import models
from portability.database.engine import reading
from portability.retention import erasure_holds
from portability.storage.s3.bucket import S3Storage
from portability.trust import audit

DELIVERIES = {"link.downloaded", "link.url_issued"}


@pytest.fixture(params=["file", "s3"])
def losing(
    request: pytest.FixtureRequest, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server whose archives lie in a folder, and one whose archives lie in object storage."""
    storage = None
    if request.param == "s3":
        s3: servers.S3Server = request.getfixturevalue("s3")
        storage = S3Storage(s3.bucket, f"prefix-{secrets.token_hex(6)}", endpoint=s3.endpoint, addressing="path")
    with serving(tmp_path_factory.mktemp("losing"), redis_server, storage=storage) as server:
        yield server


def claim_and_lose(served: Served, export_id: str) -> str:
    """Claim the volume, then delete its object behind this software's back; returns the address of the claim."""
    page = f"/d/{served.link(export_id).token}"
    with served.browser(OWNER) as visitor:
        address = served.url + visitor.send(f"{page}/volumes/1", page=page).headers["location"]
    with reading(served.world.engine) as connection:
        key = connection.execute(select(models.volume.c.object_key)).scalar_one()
    served.world.place.storage.delete(key)
    return address


def deliveries(served: Served, export_id: str) -> set[str]:
    """The events of the export that count as a delivery."""
    with reading(served.world.engine) as connection:
        return DELIVERIES & {event["action"] for event in audit.events(connection, export_id=export_id)}


def hold_reasons(served: Served, export_id: str) -> list[str]:
    """Why the export prevents an erasure."""
    with reading(served.world.engine) as connection:
        return [row["hold_reason"] for row in erasure_holds.pending(connection, models.export.c.id == export_id)]


def test_a_volume_that_storage_has_lost_is_not_delivered(losing: Served) -> None:
    """The reader gets an error of this software, no event counts a delivery, and no erasure may follow it.

    The answer has no more than the code; the log has the object under the request's id.
    """
    export_id = losing.ready()
    address = claim_and_lose(losing, export_id)
    with capture_logs() as logged:
        answer = httpx.get(address, headers={"Accept": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (500, "object_missing")
    assert deliveries(losing, export_id) == set()
    assert hold_reasons(losing, export_id) == ["delivery"]
    (fault,) = (entry for entry in logged if entry["event"] == "request.fault")
    told = {name: fault[name] for name in ("log_level", "request_id", "code")}
    assert told == {"log_level": "warning", "request_id": answer.json()["request_id"], "code": "object_missing"}
    assert export_id in fault["detail"]


def test_a_volume_that_storage_has_lost_uses_up_no_download(losing: Served) -> None:
    """HEAD says what GET would say, and a claim of what cannot be delivered is refused and does not count."""
    export_id = losing.ready()
    address = claim_and_lose(losing, export_id)
    page = address.removeprefix(losing.url).partition("/volumes/")[0]
    assert httpx.head(address).status_code == 500
    with losing.browser(OWNER) as visitor:
        refused = [visitor.send(f"{page}/volumes/1", page=page).status_code for _ in range(3)]
    with reading(losing.world.engine) as connection:
        claims = connection.execute(select(models.link_claim.c.volume)).scalars().all()
    assert refused == [500, 500, 500]
    assert claims == [1]
