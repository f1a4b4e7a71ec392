"""Both sides at once: a real sender over HTTP, and `portability receive` with nothing but the link that it was told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyrage
import pytest
import servers
from factories import MadeUpExporter, things
from sending import offered, recorded, sender, shown
from served import Served
from transferring import Provider

from portability.storage import Storage, open_storage
from receiver.faults import SenderRefused, WrongAudience, WrongKey
from receiver.fetch import Patience
from receiver.receiving import Received, Recipient, receive


@pytest.fixture(scope="module", params=["folder", "s3"])
def served(
    request: pytest.FixtureRequest, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A sender whose exports have several volumes; from an object storage they come by presigned addresses."""
    exporter = MadeUpExporter(things(3000), batch_records=50)
    small = {"volume_bytes": 1 << 16, "piece_bytes": 1 << 13}
    folder = tmp_path_factory.mktemp("sends")
    with (
        _storage(request) as storage,
        sender(folder, redis_server, exporter, storage=storage, **small) as server,
    ):
        yield server


@contextmanager
def _storage(request: pytest.FixtureRequest) -> Iterator[Storage | None]:
    if request.param == "folder":
        yield None
        return
    server: servers.S3Server = request.getfixturevalue("s3_server")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield open_storage(server.url("received"))


@pytest.fixture
def other(served: Served) -> Iterator[Provider]:
    with recorded(served) as provider:
        yield provider


def received(told: dict[str, Any], other: Provider, folder: Path, **otherwise: Any) -> Received:
    given: dict[str, Any] = {"identities": [other.identity], "audience": "localhost", "receipt_key": other.key}
    recipient = Recipient(**{**given, "issuer": told["issuer"], **otherwise})
    return receive(told["url"], folder / "in", recipient, patience=Patience(pause_seconds=0))


@pytest.mark.requirement("R39", "R46")
def test_what_was_sent_is_received_and_the_sender_knows(served: Served, other: Provider, tmp_path: Path) -> None:
    """Several volumes, all their records, and `delivered` with a receipt that the sender has checked."""
    told = offered(served, other)

    result = received(told, other, tmp_path)

    assert len(result.volumes) > 1
    pieces = [path for folder in result.unpacked.folders for path in sorted(folder.glob("data/calls/*.jsonl"))]
    assert [json.loads(line) for path in pieces for line in path.read_text().splitlines()] == things(3000)
    seen = shown(served, told["transfer"])
    assert (seen["state"], result.receipted) == ("delivered", True)
    assert received(told, other, tmp_path).receipted


@pytest.mark.requirement("R46")
def test_the_sender_sees_why_it_was_refused(served: Served, other: Provider, tmp_path: Path) -> None:
    """With the code; and a second try with the right key is taken."""
    told = offered(served, other)

    with pytest.raises(WrongKey):
        received(told, other, tmp_path, identities=[pyrage.x25519.Identity.generate()])
    seen = shown(served, told["transfer"])
    assert (seen["state"], seen["error_code"]) == ("refused", "wrong_key")
    assert received(told, other, tmp_path).receipted
    assert shown(served, told["transfer"])["state"] == "delivered"


def test_what_is_for_somebody_else_is_not_taken(served: Served, other: Provider, tmp_path: Path) -> None:
    """The audience is compared before anything is fetched."""
    told = offered(served, other)

    with pytest.raises(WrongAudience):
        received(told, other, tmp_path, audience="third.example")
    assert not (tmp_path / "in" / "volumes").exists()


@pytest.mark.requirement("R46")
def test_a_transfer_that_was_taken_back_is_not_received(served: Served, other: Provider, tmp_path: Path) -> None:
    """The sender says no, and says no more."""
    told = offered(served, other)
    assert served.call("DELETE", f"/v1/transfers/{told['transfer']}").status_code == 204

    with pytest.raises(SenderRefused):
        received(told, other, tmp_path)
