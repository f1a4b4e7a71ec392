"""Both sides at once: a real sender over HTTP, and `portability receive` with only the link."""

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
from sending import offered, sender, shown
from served import Served
from transferring import Provider

from portability.api.storages import Storage
from portability.storage import open_storage
from receiver.faults import SenderRefused, WrongAudience, WrongKey
from receiver.fetch.download import FetchPatience
from receiver.receive import Received, ReceivingParty, receive


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


def received(offer: dict[str, Any], other: Provider, folder: Path, **otherwise: Any) -> Received:
    given: dict[str, Any] = {"identities": [other.identity], "audience": "localhost", "receipt_key": other.key}
    recipient = ReceivingParty(**{**given, "issuer": offer["issuer"], **otherwise})
    return receive(offer["url"], folder / "in", recipient, patience=FetchPatience(pause_seconds=0))


@pytest.mark.requirement("R39", "R46")
def test_what_was_sent_is_received_and_the_sender_knows(served: Served, other: Provider, tmp_path: Path) -> None:
    """Several volumes, all their records, and `delivered` with a receipt that the sender has checked."""
    offer = offered(served, other)

    result = received(offer, other, tmp_path)

    assert len(result.volumes) > 1
    pieces = [path for folder in result.unpacked.folders for path in sorted(folder.glob("data/calls/*.jsonl"))]
    assert [json.loads(line) for path in pieces for line in path.read_text().splitlines()] == things(3000)
    seen = shown(served, offer["transfer"])
    assert (seen["state"], result.receipted) == ("delivered", True)
    assert received(offer, other, tmp_path).receipted


@pytest.mark.requirement("R46")
def test_the_sender_sees_why_it_was_refused(served: Served, other: Provider, tmp_path: Path) -> None:
    """With the code; and a second try with the right key is taken."""
    offer = offered(served, other)

    with pytest.raises(WrongKey):
        received(offer, other, tmp_path, identities=[pyrage.x25519.Identity.generate()])
    seen = shown(served, offer["transfer"])
    assert (seen["state"], seen["error_code"]) == ("refused", "wrong_key")
    assert received(offer, other, tmp_path).receipted
    assert shown(served, offer["transfer"])["state"] == "delivered"


def test_what_is_for_another_person_is_not_taken(served: Served, other: Provider, tmp_path: Path) -> None:
    """The audience is compared before anything is fetched."""
    offer = offered(served, other)

    with pytest.raises(WrongAudience):
        received(offer, other, tmp_path, audience="third.example")
    assert not (tmp_path / "in" / "volumes").exists()


@pytest.mark.requirement("R46")
def test_a_transfer_that_was_taken_back_is_not_received(served: Served, other: Provider, tmp_path: Path) -> None:
    """The sender says no, and says no more."""
    offer = offered(served, other)
    assert served.call("DELETE", f"/v1/transfers/{offer['transfer']}").status_code == 204

    with pytest.raises(SenderRefused):
        received(offer, other, tmp_path)
