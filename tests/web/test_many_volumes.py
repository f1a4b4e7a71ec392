"""An archive of very many volumes, from the offer to the receipt, over HTTP."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
import volumes
from factories import MadeUpExporter, things
from sending import announced, sender, sent, shown
from served import Served
from sqlalchemy import delete, insert, select
from stored_objects import store_object
from transferring import Provider, encrypted, step

from archive.parts import VolumeMetadata
from portability.database import models
from portability.database.engine import reading, writing
from portability.delivery import limits
from portability.requests import exports
from portability.trust import keys
from portability.trust.signing import Jwks
from receiver.fetch import statement
from receiver.fetch.download import FetchPatience
from receiver.receive import ReceivingParty, receive

MANY = 20_000
IDS = itertools.count(1_000_000)
VOLUME, COPY, TRANSFER = models.volume, models.transfer_copy, models.transfer
STATEMENT_BYTES = 2000


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with sender(tmp_path_factory.mktemp("sends"), redis_server, MadeUpExporter(things(5))) as server:
        yield server


def copied(served: Served, export_id: str, transfer_id: str, count: int) -> None:
    """Rows of volumes and of their encrypted copies, from number 2 on; storage has the last copy alone."""
    store_object(served.world.place.storage, f"{export_id}/c{count}", b"sealed")
    with writing(served.world.engine) as connection:
        (first,) = exports.stored_volumes(connection, export_id)
        fence = connection.scalar(select(TRANSFER.c.fence).where(TRANSFER.c.id == transfer_id))
        plain, sealed = [], []
        for number in range(2, count + 1):
            name, digest = f"{first['name'][:-3]}{number:03}", hashlib.sha256(str(number).encode()).hexdigest()
            row = {
                **first,
                "id": next(IDS),
                "number": number,
                "name": name,
                "sha256": digest,
                "object_key": f"{export_id}/v{number}",
            }
            plain.append(row)
            of_plain = {"plain_bytes": 1000, "plain_sha256": digest, "bytes": 1200, "sha256": digest}
            of_claim = {
                "fence": fence,
                "token": None,
                "state": "stored",
                "object_key": f"{export_id}/c{number}",
                "upload_id": "",
            }
            times = {"began_at": first["began_at"], "stored_at": first["stored_at"]}
            identity = {"id": next(IDS), "transfer_id": transfer_id, "number": number, "name": name}
            sealed.append({**identity, **of_plain, **of_claim, **times, "possession": digest})
        connection.execute(insert(VOLUME), plain)
        connection.execute(insert(COPY), sealed)


@pytest.mark.parametrize("count", [2_000, pytest.param(MANY, marks=pytest.mark.system)])
def test_a_statement_of_many_volumes_is_as_small_as_any(served: Served, other: Provider, count: int) -> None:
    """It signs the hash of the list; our receiver takes both, and each of the volumes can be claimed."""
    export_id, transfer_id = sent(served, other)
    copied(served, export_id, transfer_id, count)
    assert step(served.world)  # encrypts the only volume that has no copy
    assert step(served.world)  # offers

    url = announced(served, other)["url"]
    document = httpx.get(url, headers={"Accept": "application/json"}, timeout=60).raise_for_status().json()
    token = httpx.get(document["transfer"]["statement_url"]).raise_for_status().text
    jwks = Jwks.parse(httpx.get(document["transfer"]["jwks_url"]).json())
    assert len(token) < STATEMENT_BYTES
    said = statement.checked(
        token, jwks, issuer=served.world.place.settings.iss, audience="localhost", transfer=transfer_id
    )
    listed = httpx.get(document["transfer"]["volumes_url"], timeout=60).raise_for_status().content
    whole = statement.with_volumes(said, listed)
    assert [parcel.number for parcel in whole.parcels] == list(range(1, count + 1))
    assert httpx.post(f"{url}/volumes/{count}").status_code == httpx.codes.SEE_OTHER
    receipt = other.receipt(served.world, transfer_id)
    headers = {"Content-Type": "application/jose"}
    answer = httpx.post(document["transfer"]["receipt_url"], content=receipt, headers=headers, timeout=60)
    assert answer.status_code == httpx.codes.NO_CONTENT, answer.text
    assert shown(served, transfer_id)["state"] == "delivered"


def test_each_volume_of_a_transfer_has_its_own_limit(served: Served, other: Provider) -> None:
    """A recipient fetches thousands of volumes by one link: 120 requests in a minute are allowed for each."""
    export_id, transfer_id = sent(served, other)
    copied(served, export_id, transfer_id, 2)
    assert step(served.world)
    assert step(served.world)
    url = announced(served, other)["url"]
    where = [httpx.URL(url).join(httpx.post(f"{url}/volumes/{number}").headers["Location"]) for number in (1, 2)]
    with httpx.Client(timeout=30) as client:
        # Two windows of the limit may share the requests.
        answers = {client.head(where[0]).status_code for _ in range(2 * limits.LINK.most + 1)}
        assert answers == {httpx.codes.OK, httpx.codes.TOO_MANY_REQUESTS}
        assert client.head(where[1]).status_code == httpx.codes.OK


def replaced(served: Served, export_id: str, folder: Path, count: int) -> None:
    """The export gets an archive of `count` tiny volumes, signed with the deployment's own key."""
    settings, storage = served.world.place.settings, served.world.place.storage
    with reading(served.world.engine) as connection:
        export = exports.get(connection, export_id)
        (first,) = exports.stored_volumes(connection, export_id)
        key = keys.signing(connection, settings.keys)
    of = VolumeMetadata(
        settings.iss,
        export_id,
        export["subject_ref"],
        export["profile"],
        export["revision"],
        volumes.MOMENT,
        volumes.MOMENT,
    )
    key_of = f"{export_id}/{{}}.many.zip".format
    rows = []
    for number, path in enumerate(volumes.write_archive(folder, count, of=of, key=key), 1):
        content = path.read_bytes()
        path.unlink()
        upload = storage.begin(key_of(number))
        upload.write(content)
        upload.complete()
        known = {
            "id": next(IDS),
            "number": number,
            "name": path.stem,
            "object_key": key_of(number),
        }
        rows.append({**first, **known, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    with writing(served.world.engine) as connection:
        connection.execute(delete(VOLUME).where(VOLUME.c.export_id == export_id))
        connection.execute(insert(VOLUME), rows)


@pytest.mark.timeout(7200)
@pytest.mark.requirement("R39", "R46")
@pytest.mark.parametrize("count", [12, pytest.param(MANY, marks=pytest.mark.system)])
def test_many_volumes_from_the_offer_to_the_receipt(
    served: Served, other: Provider, tmp_path: Path, count: int
) -> None:
    """Encrypted, offered, fetched, verified, unpacked and receipted, by our own receiver."""
    export_id, transfer_id = sent(served, other)
    (tmp_path / "zips").mkdir()
    replaced(served, export_id, tmp_path / "zips", count)
    encrypted(served.world, most=count + 2)
    offer = announced(served, other)
    party = ReceivingParty([other.identity], "localhost", offer["issuer"], receipt_key=other.key)

    result = receive(offer["url"], tmp_path / "in", party, patience=FetchPatience(pause_seconds=0.5))

    assert (len(result.volumes), result.receipted) == (count, True)
    assert shown(served, transfer_id)["state"] == "delivered"
    assert _all_open(result.unpacked.folders)
    shutil.rmtree(tmp_path)


def _all_open(folders: Sequence[Path]) -> bool:
    return all((folder / "data/calls/calls.jsonl").read_bytes() == volumes.LINES for folder in folders)
