"""What was deleted is signed for: which volumes, bytes, hashes, when, why; any JOSE library checks it (R41)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from factories import MadeUpExporter, World, dataset, things, world
from repository import ROOT
from simultaneous import in_threads
from sqlalchemy import select, update

from portability.api.storages import Storage
from portability.database import models
from portability.database.engine import now, open_engine, reading, writing
from portability.errors import NoSigningKey
from portability.requests import exports
from portability.requests.states import ExportState
from portability.retention import attestations, erasures, recalls
from portability.retention.erasures import Whom
from portability.trust import audit, keys
from portability.trust.signing import ARCHIVE_TYPE, Jwks, SignatureFault, check
from worker.clock import erasure, expiry
from worker.export import advance
from worker.write.withdraw import withdraw_discarded

TEST, ISSUER = "operator:test", "https://portability.example"
DAY = 86_400


@pytest.fixture
def made(control_url: str, tmp_path: Path, archives: Storage) -> World:
    exporter = MadeUpExporter(things(1500), batch_records=20, datasets=(dataset("first"), dataset("second")))
    return world(
        tmp_path, {"made": exporter}, database_url=control_url, storage=archives, volume_bytes=65_536, piece_bytes=8000
    )


def ready_with_volumes(made: World, subject: str = "user:usr_1", **asked: Any) -> tuple[str, list[dict[str, Any]]]:
    identifier = made.request(subject, **asked)
    made.advance_all()
    return identifier, made.view(identifier)["volumes"]


def end(made: World, identifier: str, how: str) -> None:
    """As the clock, an officer, or an erasure does, to the last object."""
    storage = made.place.storage
    if how == "expired":
        with writing(made.engine) as connection:
            past = {"ended_at": now(-31 * DAY), "retrieval_ends_at": now(-DAY)}
            connection.execute(update(models.export).where(models.export.c.id == identifier).values(**past))
        expiry.announce(made.engine, made.place.settings)
        with writing(made.engine) as connection:
            connection.execute(update(models.notification).values(created_at=now(-3 * DAY)))
        assert expiry.expire(made.engine, made.place.settings) == 1
        withdraw_discarded(made.engine, lambda: storage, {ExportState.EXPIRED})
    elif how == "recalled":
        with writing(made.engine) as connection:
            recalls.recall(connection, identifier, reason="x", actor=TEST)
        withdraw_discarded(made.engine, lambda: storage, {ExportState.RECALLED})
    else:
        with writing(made.engine) as connection:
            row = exports.get(connection, identifier)
            whom = Whom(row["subject_kind"], row["subject_id"], row["tenant"])
            erasures.begin(connection, whom, reason="ticket", actor=TEST, ground="subject")
        assert erasure.advance(made.engine, lambda: storage) == 1


def attest(made: World) -> int:
    return erasure.attest(made.engine, made.place.settings.keys, ISSUER)


def attested(made: World, identifier: str) -> list[dict[str, Any]]:
    """Read the statements with the key set and a JOSE library, as any recipient can."""
    with reading(made.engine) as connection:
        document = json.dumps(keys.jwks(connection))
    found = []
    for one in made.view(identifier)["attestations"]:
        header = jwt.get_unverified_header(one["token"])
        assert header["typ"] == "portability-deletion+jwt"
        key = jwt.PyJWKSet.from_json(document)[header["kid"]]
        found.append(jwt.decode(one["token"], key, algorithms=["ES256"]))
    return found


@pytest.mark.parametrize("how", ["expired", "recalled", "erased"])
@pytest.mark.parametrize(
    ("subject", "asked"), [("user:usr_1", {}), ("tenant:ten_1", {"profile": "switch"})], ids=["person", "company"]
)
@pytest.mark.requirement("R41")
def test_the_statement_names_what_was_delivered(made: World, subject: str, asked: dict[str, Any], how: str) -> None:
    """The hashes are those of the archive's own list; one statement for all volumes is stored with the export."""
    identifier, volumes = ready_with_volumes(made, subject, **asked)
    assert len(volumes) > 1
    assert attest(made) == 0
    end(made, identifier, how)

    assert attest(made) == 1
    assert attest(made) == 0

    (claims,) = attested(made, identifier)
    facts = [(v["number"], v["bytes"], v["sha256"]) for v in claims["volumes"]]
    assert facts == [(v["number"], v["bytes"], v["sha256"]) for v in volumes]
    assert {v["why"] for v in claims["volumes"]} == {how}
    assert (claims["iss"], claims["export"], claims["bytes"]) == (ISSUER, identifier, sum(v["bytes"] for v in volumes))
    for volume in claims["volumes"]:
        age = datetime.now(UTC) - datetime.fromisoformat(volume["deleted_at"])
        assert -5 < age.total_seconds() < 600
    with reading(made.engine) as connection:
        last = audit.events(connection, export_id=identifier)[-1]
    assert (last["action"], last["detail"]) == (
        "deletion.attested",
        {"attestation": claims["jti"], "volumes": len(volumes)},
    )
    assert "usr_1" not in str(claims)


def test_nothing_is_attested_while_something_is_left(made: World) -> None:
    """A statement that all is gone is made when all is gone."""
    identifier, _volumes = ready_with_volumes(made)
    with writing(made.engine) as connection:
        recalls.recall(connection, identifier, reason="x", actor=TEST)
        row = connection.execute(select(models.volume).limit(1)).mappings().one()
        export = exports.get(connection, identifier)
        attestations.note(connection, export, row)
    assert attest(made) == 0
    withdraw_discarded(made.engine, lambda: made.place.storage, {ExportState.RECALLED})
    assert attest(made) == 1


def test_what_never_was_an_archive_needs_no_statement(made: World) -> None:
    """Volumes of a cancelled export are deleted, and were never delivered: no statement is made."""
    identifier = made.request()
    held = made.claim()
    assert held is not None
    advance(made.place, held)
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor=TEST)
    made.advance_all()
    assert made.view(identifier)["state"] == "cancelled"
    assert attest(made) == 0


def test_without_a_key_it_waits(made: World) -> None:
    """A deletion stays noted until there is a key to sign the statement."""
    identifier, volumes = ready_with_volumes(made)
    end(made, identifier, "recalled")
    with writing(made.engine) as connection:
        for row in keys.listed(connection, "archive"):
            keys.retire(connection, row["kid"], actor=TEST)
    with pytest.raises(NoSigningKey):
        attest(made)
    with writing(made.engine) as connection:
        keys.new(connection, made.place.settings.keys, actor=TEST)
    assert attest(made) == 1
    assert len(attested(made, identifier)[0]["volumes"]) == len(volumes)


def test_of_many_clocks_one_signs(made: World, control_url: str) -> None:
    """Several clocks make one statement."""
    identifier, _volumes = ready_with_volumes(made)
    end(made, identifier, "recalled")

    def one(_number: int) -> int:
        engine = open_engine(control_url)
        try:
            return erasure.attest(engine, made.place.settings.keys, ISSUER)
        finally:
            engine.dispose()

    assert sum(in_threads(3, one)) == 1
    assert len(attested(made, identifier)) == 1


def test_a_statement_is_no_other_token(made: World) -> None:
    """Its type is exact and a changed letter is detected: it never counts as an archive's signature, or vice versa."""
    identifier, _volumes = ready_with_volumes(made)
    end(made, identifier, "recalled")
    attest(made)
    (one,) = made.view(identifier)["attestations"]
    with reading(made.engine) as connection:
        jwks = Jwks.parse(json.loads(json.dumps(keys.jwks(connection))))
    check(one["token"], jwks, typ="portability-deletion+jwt")
    with pytest.raises(SignatureFault):
        check(one["token"], jwks, typ=ARCHIVE_TYPE)
    header, payload, signature = one["token"].split(".")
    forged = f"{header}.{payload[:-2]}{'AA' if payload[-2:] != 'AA' else 'AB'}.{signature}"
    with pytest.raises(SignatureFault):
        check(forged, jwks, typ="portability-deletion+jwt")


def test_the_page_shows_the_check_that_is_made_here() -> None:
    """docs/retention.md contains the lines by which `told` reads a statement."""
    page = (ROOT / "docs" / "retention.md").read_text()
    for line in (
        "jwt.PyJWKSet.from_json(jwks_text)",
        '["typ"] == "portability-deletion+jwt"',
        'jwt.decode(token, key, algorithms=["ES256"])',
    ):
        assert line in page
