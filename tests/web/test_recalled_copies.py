"""What the pages say of a recalled copy is true on each storage, before and after the clock has deleted its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import servers
from served import OWNER, Served, serving
from workers import until

from portability.requests.states import ExportState
from portability.storage import open_storage
from worker.write.withdraw import withdraw_discarded

REASON = {"reason": "sent to another", "confirmed": "yes"}
DELETING, DELETED = "Its files are being deleted.", "Its files have been deleted."
REVOKE = "revoke all download links"


@pytest.fixture(params=["folder", "s3"])
def server(
    request: pytest.FixtureRequest, redis_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """A server without a clock; an object storage sends the files itself."""
    storage = None
    if request.param == "s3":
        bucket: servers.S3Server = request.getfixturevalue("s3_server")
        for variable, value in bucket.environment.items():
            monkeypatch.setenv(variable, value)
        storage = open_storage(bucket.url(f"recalled-{tmp_path.name}"))
    with serving(tmp_path, redis_server, storage=storage) as made:
        yield made


def test_the_page_says_whether_the_files_are_deleted(server: Served) -> None:
    """A recall ends links at once, and the clock deletes the files. Before, the page said that they were deleted.

    An address of the object storage that was made before the recall is valid until the file is gone.
    """
    export_id, world = server.ready(), server.world
    page = f"/me/exports/{export_id}"
    with server.browser(OWNER) as visitor, server.browser("sam", "officer") as officer:
        claimed = visitor.send(f"{page}/volumes/1", page="/me").headers["location"]
        sent = visitor.client.get(claimed)
        until(lambda: REVOKE in visitor.client.get(page).text, "the download is on the page")
        assert officer.send(f"/staff/exports/{export_id}/recall", **REASON).status_code == httpx.codes.SEE_OTHER

        shown = visitor.client.get(page).text
        assert (DELETING in shown, DELETED in shown) == (True, False)
        assert DELETING in visitor.client.get("/me").text
        assert (REVOKE in shown, "If you do not recognise a download, contact us." in shown) == (False, True)
        assert visitor.client.get(claimed).status_code != httpx.codes.OK
        if address := sent.headers.get("location"):
            assert httpx.get(address).status_code == httpx.codes.OK

        withdraw_discarded(world.engine, lambda: world.place.storage, {ExportState.RECALLED})
        shown = visitor.client.get(page).text
        assert (DELETING in shown, DELETED in shown) == (False, True)
        assert [found.key for found in world.place.storage.list() if export_id in found.key] == []
        if address:
            assert httpx.get(address).status_code == httpx.codes.NOT_FOUND
