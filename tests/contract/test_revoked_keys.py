"""A key that is revoked while an export runs: no archive becomes ready that does not verify."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from factories import MadeUpExporter, World, things, world
from faults import FaultyStorage, Operation
from gap_sources import source_of

from portability.database.engine import reading, writing
from portability.requests import retries
from portability.storage.local import LocalStorage
from portability.trust import keys
from worker.export import advance

TEST = "operator:test"
Ending = Callable[[World], None]


def of_volumes(folder: Path, control_url: str) -> tuple[World, str]:
    """An export of several volumes, of which none is written."""
    large = [{"id": f"thing_{number}", "text": "x" * 1000} for number in range(3000)]
    exporter = MadeUpExporter(large, batch_records=50)
    made = world(folder, {"made": exporter}, database_url=control_url, volume_members=10, piece_bytes=8_000)
    return made.with_all_keys(), made.request(formats=["jsonl", "csv"])


def write_volume(made: World) -> None:
    held = made.claim()
    assert held
    advance(made.place, held)


def signing_kid(made: World) -> str:
    with reading(made.engine) as connection:
        return str(keys.signing(connection, made.place.settings.keys).kid)


def revoke(made: World) -> None:
    """What docs/operate.md says about a key that has leaked."""
    kid = signing_kid(made)
    with writing(made.engine) as connection:
        keys.revoke(connection, kid, actor=TEST)
    rotate(made)


def revoke_after_rotation(made: World) -> None:
    """The same commands in the other order."""
    kid = signing_kid(made)
    rotate(made)
    with writing(made.engine) as connection:
        keys.revoke(connection, kid, actor=TEST)


def rotate(made: World) -> None:
    with writing(made.engine) as connection:
        keys.new(connection, made.place.settings.keys, actor=TEST)


def outcome(made: World, identifier: str) -> tuple[str, str | None]:
    view = made.view(identifier)
    return view["state"], (view["error"] or {}).get("code")


def verifies(made: World, identifier: str) -> bool:
    return made.verify(made.fetch(identifier)).ok


@pytest.mark.parametrize("end", [revoke, revoke_after_rotation])
def test_an_archive_of_which_a_volume_has_a_revoked_key_is_made_anew(
    control_url: str, tmp_path: Path, end: Ending
) -> None:
    """The export fails at its next volume, and `portability retry` makes an archive."""
    made, identifier = of_volumes(tmp_path, control_url)
    write_volume(made)
    end(made)
    write_volume(made)
    assert outcome(made, identifier) == ("failed", "key_revoked")
    assert made.fetch(identifier) == []

    with writing(made.engine) as connection:
        retries.retry(connection, identifier, actor=TEST)
    made.advance_all()

    assert outcome(made, identifier) == ("ready", None)
    assert verifies(made, identifier)


@pytest.mark.parametrize("end", [revoke, revoke_after_rotation])
def test_a_volume_whose_key_is_revoked_before_its_commit_is_written_again(
    control_url: str, tmp_path: Path, end: Ending
) -> None:
    """It is signed by the key that signs then; no one has to act."""
    storage = FaultyStorage(LocalStorage(tmp_path / "archives"))
    exporters = {"made": MadeUpExporter(things(3))}
    made = world(tmp_path, exporters, storage=storage, database_url=control_url, backoff_seconds=0).with_all_keys()

    def before(operation: Operation, count: int) -> None:
        if (operation, count) == ("complete", 1):
            end(made)

    storage.before = before
    identifier = made.request()
    made.advance_all()

    assert outcome(made, identifier) == ("ready", None)
    assert verifies(made, identifier)


def test_a_key_that_was_revoked_before_the_first_volume_stops_no_export(control_url: str, tmp_path: Path) -> None:
    """Nothing of the export has it."""
    made, identifier = of_volumes(tmp_path, control_url)
    revoke(made)
    made.advance_all()

    assert outcome(made, identifier) == ("ready", None)
    assert verifies(made, identifier)


def test_a_volume_that_a_new_key_signs_after_the_rotation_is_kept(control_url: str, tmp_path: Path) -> None:
    """The old key is revoked later, while other volumes are written: all volumes have the new key."""
    made, identifier = of_volumes(tmp_path, control_url)
    old = signing_kid(made)
    rotate(made)
    write_volume(made)
    with writing(made.engine) as connection:
        keys.revoke(connection, old, actor=TEST)
    made.advance_all()

    assert outcome(made, identifier) == ("ready", None)
    assert verifies(made, identifier)


def test_a_revision_of_an_archive_whose_key_is_revoked_is_given_up(control_url: str, tmp_path: Path) -> None:
    """It would have volumes of the revoked key; the person's page and the audit log say that the revision failed."""
    source = source_of(6, 1_000, no_file={"1.wav"})
    made = world(tmp_path, {"made": source}, database_url=control_url).with_all_keys()
    identifier = made.request()
    made.advance_all()
    revoke(made)
    source.repair()
    with writing(made.engine) as connection:
        retries.retry_gaps(connection, identifier, actor=TEST)
    made.advance_all()

    view = made.view(identifier)
    assert (view["state"], view["failed_revision"]["code"]) == ("ready", "key_revoked")
