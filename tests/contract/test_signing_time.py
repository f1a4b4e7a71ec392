"""The time of a signature is that of the control database, as the time at which its key retires."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import feeding
import orjson
import pytest
from factories import MadeUpExporter, World, things, world
from feeding import Feed
from wrong_clocks import set_machine_wrong

from portability.database.engine import reading, writing
from portability.requests.states import ExportState
from portability.retention import recalls
from portability.trust import audit_heads, keys
from worker.clock import erasure
from worker.write.withdraw import withdraw_discarded

TEST = "operator:test"


@pytest.fixture(params=[-2, 2], ids=["behind", "ahead"])
def erring(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, control_url: str, tmp_path: Path) -> World:
    """A deployment whose machine is two hours wrong."""
    made = world(tmp_path, {"made": MadeUpExporter(things(3))}, database_url=control_url).with_all_keys()
    set_machine_wrong(monkeypatch, hours=request.param)
    return made


def rotate(made: World) -> None:
    with writing(made.engine) as connection:
        for purpose in ("archive", "audit"):
            keys.new(connection, made.place.settings.keys, purpose=purpose, actor=TEST)


def claims(token: str) -> dict[str, object]:
    body = token.split(".")[1]
    return dict(orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))


def seconds_off(token: str) -> float:
    issued = claims(token)["iat"]
    assert isinstance(issued, int)
    return abs(datetime.now(UTC).timestamp() - issued)


def signature(path: Path) -> str:
    with ZipFile(path) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("signature.jwt"))
        return archive.read(name).decode()


def test_an_archive_verifies_after_its_key_was_replaced(erring: World) -> None:
    """A worker was hours ahead when it signed: its archive verifies for ever, also when its key retires soon after."""
    identifier = erring.request()
    erring.advance_all()
    paths = erring.fetch(identifier)
    rotate(erring)
    verdict = erring.verify(paths)
    assert verdict.ok, verdict
    assert max(seconds_off(signature(path)) for path in paths) < 60


def test_an_archive_says_when_it_was_made(erring: World) -> None:
    """The times in export.json and in the description of the volume follow the request."""
    identifier = erring.request(at=datetime.now(UTC))
    erring.advance_all()
    with ZipFile(erring.fetch(identifier)[-1]) as archive:
        documents = {name.partition("/")[2]: name for name in archive.namelist()}
        export = orjson.loads(archive.read(documents["export.json"]))
        package = orjson.loads(archive.read(documents["datapackage.json"]))
    [line] = export["datasets"]
    stated = [
        *(export["requested_at"], export["began_at"], line["reading_began_at"], line["reading_ended_at"]),
        export["ended_at"],
    ]
    assert stated == sorted(stated)
    present = datetime.now(UTC)
    for text in (*stated, package["created"]):
        assert abs((present - datetime.fromisoformat(text)).total_seconds()) < 60, text


def test_the_cursor_of_a_feed_verifies_after_its_key_was_replaced(erring: World) -> None:
    """Also the tombstones say when records were found to be gone, by the clock of the database."""
    feed: Feed = feeding.begin(erring)
    feed.next()
    exporter = erring.place.exporters["made"]
    assert isinstance(exporter, MadeUpExporter)
    exporter.records = exporter.records[1:]
    paths = feed.next()
    rotate(erring)
    assert erring.verify(paths).ok
    assert seconds_off(feeding.changes(paths)["cursor"]) < 60
    [gone] = feeding.tombstones(paths)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(gone["at"])).total_seconds()) < 60


def test_an_attestation_verifies_after_its_key_was_replaced(erring: World) -> None:
    """So does the statement that an archive was deleted."""
    identifier = erring.request()
    erring.advance_all()
    with writing(erring.engine) as connection:
        recalls.recall(connection, identifier, reason="x", actor=TEST)
    withdraw_discarded(erring.engine, lambda: erring.place.storage, {ExportState.RECALLED})
    assert erasure.attest(erring.engine, erring.place.settings.keys, "https://x.example") == 1
    [one] = erring.view(identifier)["attestations"]
    assert seconds_off(one["token"]) < 60


def test_a_head_of_the_audit_log_verifies_after_its_key_was_replaced(erring: World) -> None:
    """A head that was kept elsewhere proves the log for ever."""
    with writing(erring.engine) as connection:
        token = audit_heads.signed(connection, erring.place.settings.keys, "https://x.example")
    rotate(erring)
    with reading(erring.engine) as connection:
        audit_heads.check_contained(connection, audit_heads.read(connection, token))
