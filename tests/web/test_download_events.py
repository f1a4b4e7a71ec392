"""The audit log has one event for each download, as browsers, download managers and storages make them."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import servers
from served import OWNER, Served, serving
from workers import until

from portability.database.engine import reading
from portability.storage.s3.bucket import S3Storage
from portability.trust import audit

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
ACTIONS = ("link.claimed", "link.downloaded", "link.url_issued")


def claim_address(served: Served, export_id: str) -> str:
    """The address of a claim of the volume."""
    page = f"/d/{served.link(export_id).token}"
    with served.browser(OWNER) as visitor:
        return served.url + visitor.send(f"{page}/volumes/1", page=page).headers["location"]


def recorded(served: Served, export_id: str) -> list[tuple[str, Any]]:
    with reading(served.world.engine) as connection:
        found = audit.events(connection, export_id=export_id)
    return [(event["action"], event["detail"]) for event in found if event["action"] in ACTIONS]


def test_a_download_manager_with_eight_connections_is_one_download(served: Served) -> None:
    """HEAD, then eight ranges at once: one event with all bytes, which names the claim and the device."""
    export_id = served.ready()
    address = claim_address(served, export_id)
    size = int(httpx.head(address).headers["content-length"])
    cuts = [size * number // 8 for number in range(9)]

    def get(number: int) -> int:
        part = f"bytes={cuts[number]}-{cuts[number + 1] - 1}"
        return httpx.get(address, headers={"Range": part, "User-Agent": FIREFOX}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(get, range(8))) == {206}
    until(lambda: len(recorded(served, export_id)) > 1, "the download is recorded")
    (_, claim), (action, detail) = recorded(served, export_id)
    assert (action, detail["bytes"], detail["requests"], detail["complete"]) == ("link.downloaded", size, 8, True)
    assert (detail["claim"], detail["device"]) == (claim["claim"], "Firefox · Linux")


def test_a_download_that_was_cut_and_resumed_is_one_download(served: Served) -> None:
    """The first connection ends in the middle; the event comes with the end, and begins with the first request."""
    export_id = served.ready()
    address = claim_address(served, export_id)
    with httpx.stream("GET", address, headers={"Range": "bytes=0-9"}) as cut:
        cut.read()
    rest = httpx.get(address, headers={"Range": "bytes=10-"})
    until(lambda: len(recorded(served, export_id)) > 1, "the download is recorded")
    (_, (_, detail)) = recorded(served, export_id)
    assert (detail["bytes"], detail["requests"], detail["complete"]) == (10 + len(rest.content), 2, True)


def test_looking_is_not_a_download(served: Served) -> None:
    """HEAD of a claimed volume, a range behind its end, and a wrong claim have no event of a download."""
    export_id = served.ready()
    address = claim_address(served, export_id)
    assert httpx.head(address).status_code == 200
    assert httpx.get(address, headers={"Range": "bytes=99999999999-"}).status_code == 416
    assert httpx.get(f"{address}x").status_code == 404
    assert [action for action, _ in recorded(served, export_id)] == ["link.claimed"]


def test_storage_serves_one_download(redis_server: str, s3: servers.S3Server, tmp_path: Path) -> None:
    """Each request to the claim's address gets a fresh URL of storage; the log has the first."""
    storage = S3Storage(s3.bucket, f"prefix-{secrets.token_hex(6)}", endpoint=s3.endpoint, addressing="path")
    with serving(tmp_path, redis_server, storage=storage) as served:
        export_id = served.ready()
        address = claim_address(served, export_id)
        for _ in range(3):
            assert httpx.get(address, headers={"User-Agent": FIREFOX}).status_code == 302
        (_, claim), (action, detail) = recorded(served, export_id)
    assert action == "link.url_issued"
    claimed = {name: claim[name] for name in ("link", "claim", "volume")}
    assert detail == {**claimed, "revision": 1, "device": "Firefox · Linux"}
