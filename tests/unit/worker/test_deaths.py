"""A plug-in that ends its process: it costs its own datasets, as one that raises, and not the export."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from archives import export_json
from factories import MadeUpExporter, World, dataset, file, things, world
from sqlalchemy import update

from portability.api import Identity, Subject
from portability.database import models
from portability.database.engine import now, writing
from portability.requests import retries
from worker import export
from worker.read import bounded_calls

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")]


def die() -> None:
    """As a fault of a C library ends a process, or the kernel for its memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def work_in_children(made: World) -> list[int]:
    """What workers do, each claim in a process of its own; returns the signal that ended each, or 0."""
    ends = []
    while held := made.claim():
        bounded_calls.dismiss()
        made.engine.dispose()
        child = os.fork()
        if not child:
            export.advance(made.place, held)
            os._exit(0)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        if ends[-1]:
            with writing(made.engine) as connection:
                connection.execute(update(models.slice).values(lease_until=now(-1)))
        assert len(ends) < 40
    return ends


def nine_records(name: str, **more: Any) -> MadeUpExporter:
    return MadeUpExporter(things(9), datasets=(dataset(name),), **more)


def gaps(made: World, identifier: str) -> list[tuple[str, str, bool]]:
    found = export_json(made.fetch(identifier))["gaps"]
    return [(f"{gap['exporter']}/{gap['dataset']}", gap["reason"], gap["retryable"]) for gap in found]


def test_a_dataset_at_which_workers_die_is_a_gap(tmp_path: Path) -> None:
    """The usual tries and two with care end the worker; then the others are delivered, and the gap names the cause."""
    dying = nine_records("crash", on_batch=lambda number: die() if number == 2 else None)
    made = world(tmp_path, {"bad": dying, "good": nine_records("things")}, attempts_max=2)
    identifier = made.request()
    assert work_in_children(made) == [-9, -9, -9, -9, 0]
    assert made.view(identifier)["state"] == "ready"
    assert gaps(made, identifier) == [("bad/crash", "worker_died", True)]
    assert made.verify(made.fetch(identifier)).ok


def test_a_volume_whose_workers_are_killed_for_another_reason_is_whole(tmp_path: Path) -> None:
    """One death while the volume is read with care, and those before, make no gap."""
    most = 3

    def die_sometimes(_number: int) -> None:
        tries = len(list(tmp_path.glob("try-*")))
        if tries < most:
            (tmp_path / f"try-{tries}").touch()
            die()

    made = world(tmp_path / "w", {"made": nine_records("things", on_batch=die_sometimes)}, attempts_max=2)
    identifier = made.request()
    assert work_in_children(made) == [-9, -9, -9, 0]
    assert gaps(made, identifier) == []
    assert made.view(identifier)["complete"] is True


def test_identities_at_which_workers_die_cost_their_plugin(tmp_path: Path) -> None:
    """Its datasets are gaps, and what only it leads to. The following volumes do not ask it again."""

    class DyingAtIdentities(MadeUpExporter):
        def identities(self, _subject: Subject) -> Sequence[Identity]:
            die()
            return ()

    recording = file("call.wav", secrets.token_bytes(200_000))
    bad, good = (
        DyingAtIdentities(things(3), datasets=(dataset("crash"),)),
        nine_records("things", files={0: [recording]}),
    )
    made = world(tmp_path, {"bad": bad, "good": good}, attempts_max=1, volume_bytes=65_536)
    identifier = made.request()
    ends = work_in_children(made)
    assert ends[:3] == [-9, -9, -9]
    assert {*ends[3:]} == {0}
    assert len(ends) > 5
    assert {(name, reason) for name, reason, _retryable in gaps(made, identifier)} == {
        ("bad/crash", "worker_died"),
        ("good/things", "worker_died"),
    }
    assert {line["exporter"]: line["records"] for line in export_json(made.fetch(identifier))["datasets"]}["good"] == 9


def test_a_file_at_which_workers_die_is_a_gap(tmp_path: Path) -> None:
    """Its record is delivered."""

    def opens(_offset: int) -> Iterator[bytes]:
        die()
        yield b""

    files = {0: [file("call.wav", b"0123", opens=opens)]}
    made = world(tmp_path, {"made": nine_records("things", files=files)}, attempts_max=1)
    identifier = made.request()
    assert work_in_children(made) == [-9, -9, -9, 0]
    assert [reason for _name, reason, _retryable in gaps(made, identifier)] == ["worker_died"]
    (line,) = export_json(made.fetch(identifier))["datasets"]
    assert line["records"] == 9


def test_a_retry_asks_the_source_again(tmp_path: Path) -> None:
    """What ended the workers may be mended: the gap is filled, and the archive complete."""
    mended = tmp_path / "mended"
    dying = nine_records("crash", on_batch=lambda _number: None if mended.exists() else die())
    made = world(tmp_path / "w", {"bad": dying}, attempts_max=1)
    identifier = made.request()
    assert work_in_children(made) == [-9, -9, -9, 0]
    mended.touch()
    with writing(made.engine) as connection:
        retries.retry_gaps(connection, identifier, actor="operator:test")
    assert work_in_children(made) == [0]
    assert gaps(made, identifier) == []
