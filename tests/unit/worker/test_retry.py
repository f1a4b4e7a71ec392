"""Retries: gaps are fetched, as new volumes beside the old volumes; a failed export begins again."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, members, records
from factories import CutExporter, MadeUpExporter, World, file, things, world, world_of
from faults import FaultyStorage, Operation
from sqlalchemy import select, update

from portability.api import Batch, Cursor, Dataset, Gap, Selection, Subject
from portability.api.errors import SourceRefused, SourceUnavailable, StorageRefused
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.errors import UnknownExport, WrongState
from portability.requests import retries, slices
from portability.storage.local import LocalStorage
from worker.export import advance

pytestmark = pytest.mark.slow


def retry_gaps(made: World, identifier: str) -> int:
    with writing(made.engine) as connection:
        return retries.retry_gaps(connection, identifier, actor="operator:test")


def retry(made: World, identifier: str) -> None:
    with writing(made.engine) as connection:
        retries.retry(connection, identifier, actor="operator:test")


def dataset_states(made: World, identifier: str) -> dict[str, str]:
    """The state of each exporter's dataset."""
    return {line["exporter"]: line["state"] for line in made.view(identifier)["datasets"]}


def wav_files(paths: list[Path]) -> list[tuple[str, bytes]]:
    return sorted((name.rpartition("/")[2], body) for name, body in members(paths) if ".wav" in name)


class Mended:
    """A source that fails until it is mended."""

    def __init__(self, error: type[Exception] = SourceRefused) -> None:
        self.broken = True
        self.error = error

    def at(self, number: int) -> Any:
        def act(batch: int) -> None:
            if self.broken and batch == number:
                raise self.error("no")

        return act


@pytest.mark.parametrize("error", [SourceRefused, SourceUnavailable, ValueError])
def test_the_rest_of_a_dataset_is_fetched_from_where_it_broke(tmp_path: Path, error: type[Exception]) -> None:
    """Only the rest is read again; the first volumes stay as they are, and the archive of both verifies as complete."""
    source = Mended(error)
    exporter = MadeUpExporter(things(30), on_batch=source.at(4))
    made = world(tmp_path, {"made": exporter, "other": MadeUpExporter(things(3))})
    identifier = made.request()
    made.advance_all()
    before = made.view(identifier)
    assert (before["complete"], before["revision"], len(before["volumes"])) == (False, 1, 1)

    source.broken = False
    read: list[int] = []
    exporter.on_batch = read.append
    assert retry_gaps(made, identifier) == 1
    assert dataset_states(made, identifier) == {"made": "pending", "other": "complete"}
    made.advance_all()
    after, paths = made.view(identifier), made.fetch(identifier)
    assert (after["state"], after["complete"], after["revision"]) == ("ready", True, 2)
    assert after["volumes"][0] == before["volumes"][0]
    assert (read, len(paths)) == (list(range(4, 10)), 2)
    assert made.verify(paths).errors == ()
    assert records(paths, "made", "things") == things(30)
    assert records(paths, "other", "things") == things(3)
    document = export_json(paths)
    assert document["gaps"] == []
    assert [(d["state"], d.get("reason")) for d in document["datasets"]] == [("complete", None), ("complete", None)]


def test_files_that_were_missing_are_fetched_and_no_others(tmp_path: Path) -> None:
    """Of a batch whose exporter reported a missing file, and of one whose file ended early: only those, once."""
    contents = {f"{n}.wav": secrets.token_bytes(5_000) for n in range(6)}
    away = {"2.wav", "4.wav"}

    def stream(name: str) -> Any:
        def opens(offset: int) -> Iterator[bytes]:
            yield contents[name][offset:2_000]
            if name in away:
                raise SourceUnavailable("broke")
            yield contents[name][max(offset, 2_000) :]

        return opens

    def of(batch: int) -> list[Any]:
        names = [f"{n}.wav" for n in range(batch * 3, batch * 3 + 3)]
        return [file(name, contents[name], opens=stream(name)) for name in names if name != "4.wav" or not away]

    exporter = MadeUpExporter(things(6), files={0: of(0), 1: of(1)}, gaps={1: [Gap("things/4", "missing")]})
    made = world_of(tmp_path, exporter)
    identifier = made.request()
    made.advance_all()
    assert {gap["reason"] for gap in export_json(made.fetch(identifier))["gaps"]} == {"missing", "source_unavailable"}

    away.clear()
    exporter.files, exporter.gaps = {0: of(0), 1: of(1)}, {}
    assert retry_gaps(made, identifier) == 2
    made.advance_all()
    paths = made.fetch(identifier)
    assert made.verify(paths).errors == ()
    assert made.view(identifier)["complete"] is True
    whole = [(name, body) for name, body in wav_files(paths) if contents[name] == body]
    assert whole == sorted(contents.items())
    assert [name for name, _body in wav_files(paths[1:])] == ["2.wav", "4.wav"]
    (line,) = export_json(paths)["datasets"]
    assert (line["records"], line["files"], line["gaps"]) == (6, 6, 0)


def test_what_is_still_missing_stays_a_gap(tmp_path: Path) -> None:
    """A retry that finds nothing new ends ready with the same gaps, in a revision of its own, and may be repeated."""
    gaps = {0: [Gap("things/0", "missing"), Gap("things/1", "missing")]}
    exporter = MadeUpExporter(things(3), gaps=gaps)
    made = world_of(tmp_path, exporter)
    identifier = made.request()
    made.advance_all()
    for revision in (2, 3):
        assert retry_gaps(made, identifier) == 2
        made.advance_all()
        view = made.view(identifier)
        assert (view["state"], view["complete"], view["revision"]) == ("ready", False, revision)
        assert made.verify(made.fetch(identifier)).errors == ()
        document = export_json(made.fetch(identifier))
        assert [gap["what"] for gap in document["gaps"]] == ["things/0", "things/1"]
        assert document["datasets"][0]["state"] == "partial"
    exporter.gaps, exporter.files = {}, {0: [file("0.wav", b"sound")]}
    retry_gaps(made, identifier)
    made.advance_all()
    assert made.view(identifier)["complete"] is True
    assert wav_files(made.fetch(identifier)) == [("0.wav", b"sound")]
    assert len(made.archive_keys()) == 4


def test_a_retry_goes_over_several_volumes_and_survives_kills(tmp_path: Path) -> None:
    """It is made like any other export: volumes, positions, fences."""
    source = Mended()
    contents = {f"{n}.wav": secrets.token_bytes(50_000) for n in range(20)}
    spread = {n: [file(f"{n}.wav", contents[f"{n}.wav"])] for n in range(20)}
    made = world_of(tmp_path, MadeUpExporter(things(60), files=spread, on_batch=source.at(5)), volume_bytes=65_536)
    identifier = made.request()
    made.advance_all()
    source.broken = False
    retry_gaps(made, identifier)
    while made.is_open(identifier):
        assert made.claim() is not None
        with writing(made.engine) as connection:
            connection.execute(update(models.slice).values(lease_until=now(-1)))
        heir = made.claim()
        assert heir is not None
        advance(made.place, heir)
    paths = made.fetch(identifier)
    assert made.verify(paths).errors == ()
    assert records(paths, "made", "things") == things(60)
    assert wav_files(paths) == sorted(contents.items())
    assert made.view(identifier)["complete"] is True
    assert len(made.archive_keys()) == len(paths)


def test_the_viewer_of_the_new_revision_shows_everything(tmp_path: Path) -> None:
    """The records of the first volumes too: what was kept for the viewer stays while there is something to retry."""
    source = Mended()
    made = world_of(tmp_path, MadeUpExporter(things(30), on_batch=source.at(4)))
    identifier = made.request()
    made.advance_all()
    assert [Path(key).suffix for key in made.archive_keys()] == [".excerpt", ".index", ".zip"]
    source.broken = False
    retry_gaps(made, identifier)
    made.advance_all()
    newest = made.fetch(identifier)[-1:]
    shown = b"".join(body for name, body in members(newest) if name.startswith("viewer/"))
    assert all(f"thing_{n}".encode() in shown for n in range(30))
    assert len(made.archive_keys()) == 2


def test_gaps_of_slices_are_fetched_within_their_ranges(tmp_path: Path) -> None:
    """The rest of one slice ends where the next one begins: nothing is doubled."""
    sources = [Mended(), Mended()]

    def act(number: int) -> None:
        sources[0].at(30)(number)
        sources[1].at(160)(number)

    exporter = CutExporter(things(600), on_batch=act)
    made = world_of(tmp_path, exporter, slice_bytes=65_536, slices_max=4)
    identifier = made.request()
    made.advance_all()
    (line,) = export_json(made.fetch(identifier))["datasets"]
    assert line["gaps"] == 2
    for source in sources:
        source.broken = False
    assert retry_gaps(made, identifier) == 2
    made.advance_all()
    paths = made.fetch(identifier)
    assert made.verify(paths).errors == ()
    found = [record["id"] for record in records(paths, "made", "things")]
    assert sorted(found) == sorted(f"thing_{n}" for n in range(600))
    assert made.view(identifier)["complete"] is True


def test_a_batch_that_could_not_be_asked_again_is_fetched_later(tmp_path: Path) -> None:
    """The volume was full in the middle of its files, and then the source was down: the rest of them is a gap."""
    contents = {f"{n}.wav": secrets.token_bytes(50_000) for n in range(4)}
    away: list[str] = []

    class Leaving(MadeUpExporter):
        def export(
            self, subject: Subject, dataset: Dataset, selection: Selection, *, after: Cursor | None = None
        ) -> Generator[Batch, None, None]:
            if away and after is None:
                raise SourceRefused("no")
            yield from super().export(subject, dataset, selection, after=after)

    spread = {0: [file(name, content) for name, content in contents.items()]}
    made = world_of(tmp_path, Leaving(things(6), files=spread), volume_bytes=65_536)
    identifier = made.request()
    held = made.claim()
    assert held is not None
    advance(made.place, held)
    away.append("yes")
    made.advance_all()
    assert made.view(identifier)["complete"] is False
    away.clear()
    retry_gaps(made, identifier)
    made.advance_all()
    paths = made.fetch(identifier)
    assert made.verify(paths).errors == ()
    assert wav_files(paths) == sorted(contents.items())
    assert records(paths, "made", "things") == things(6)
    assert made.view(identifier)["complete"] is True


def test_a_failed_export_begins_anew(tmp_path: Path) -> None:
    """The same request, the same due date, one archive; nothing of the failed attempt is left."""
    refusing = [True]

    def refuse(operation: Operation, count: int) -> None:
        if refusing and operation == "complete" and count == 3:
            raise StorageRefused("the bucket's policy forbids it")

    storage = FaultyStorage(LocalStorage(tmp_path / "archives"), before=refuse)
    exporter = MadeUpExporter(things(9), files={0: [file("a.wav", secrets.token_bytes(300_000))]})
    made = world_of(tmp_path, exporter, storage=storage, volume_bytes=65_536)
    identifier = made.request()
    made.advance_all()
    failed = made.view(identifier)
    assert failed["state"] == "failed"
    refusing.clear()
    retry(made, identifier)
    assert made.view(identifier)["state"] == "queued"
    made.advance_all()
    paths = made.fetch(identifier)
    assert made.verify(paths).errors == ()
    assert records(paths, "made", "things") == things(9)
    view = made.view(identifier)
    assert (view["state"], view["revision"], view["due_at"]) == ("ready", 1, failed["due_at"])
    assert [volume["number"] for volume in view["volumes"]] == list(range(1, len(paths) + 1))
    assert len(made.archive_keys()) == len(paths)


def test_what_could_not_be_deleted_is_taken_up_by_the_retry(tmp_path: Path) -> None:
    """Storage refused, also to delete: the retry tidies up first."""
    refusing = [True]

    def refuse(operation: Operation, count: int) -> None:
        if refusing and (operation == "delete" or (operation == "complete" and count == 3)):
            raise StorageRefused("read only")

    storage = FaultyStorage(LocalStorage(tmp_path / "archives"), before=refuse)
    exporter = MadeUpExporter(things(9), files={0: [file("a.wav", secrets.token_bytes(300_000))]})
    made = world_of(tmp_path, exporter, storage=storage, volume_bytes=65_536)
    identifier = made.request()
    made.advance_all()
    assert made.stored_keys() != []
    refusing.clear()
    retry(made, identifier)
    made.advance_all()
    paths = made.fetch(identifier)
    assert made.verify(paths).errors == ()
    assert len(made.archive_keys()) == len(paths)


def test_an_old_worker_of_the_failed_try_writes_nothing(tmp_path: Path) -> None:
    """The fence keeps counting over a retry: a worker with a claim from before the failure is still locked out."""
    made = world_of(tmp_path, MadeUpExporter(things(9)))
    identifier = made.request()
    zombie = made.claim()
    assert zombie is not None
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(state="failed"))
        connection.execute(update(models.slice).values(state="done", lease_until=None))
    retry(made, identifier)
    assert advance(made.place, zombie) == 0
    assert made.view(identifier)["volumes"] == []
    made.advance_all()
    assert made.verify(made.fetch(identifier)).errors == ()


def test_a_retry_has_all_attempts_again(tmp_path: Path) -> None:
    """Of a failed export, also of its second revision: it begins with revision 1, the first volume, and no error."""
    made = world_of(tmp_path, MadeUpExporter(things(3)))
    identifier = made.request()
    with writing(made.engine) as connection:
        failed = {"state": "failed", "ended_at": now(), "error_code": "incomplete", "cancel_requested_at": now()}
        connection.execute(update(models.export).values(**failed, revision=2, volume_counter=5))
        connection.execute(update(models.slice).values(state="done", attempts=7, not_before=now(600)))
    retry(made, identifier)
    with reading(made.engine) as connection:
        (part,) = slices.of(connection, identifier)
    assert (part["state"], part["attempts"], part["not_before"]) == ("open", 0, None)
    view = made.view(identifier)
    assert (view["state"], view["error"], view["ended_at"], view["cancel_requested"]) == ("queued", None, None, False)
    made.advance_all()
    view = made.view(identifier)
    assert (view["state"], view["revision"], [volume["number"] for volume in view["volumes"]]) == ("ready", 1, [1])


@pytest.mark.parametrize("which", [retry, retry_gaps])
def test_only_what_can_be_retried_is(tmp_path: Path, which: Any) -> None:
    """Open, cancelled and complete exports are refused and not changed; an unknown id is reported."""
    made = world_of(tmp_path, MadeUpExporter(things(3)))
    complete = made.request()
    made.advance_all()
    queued = made.request("user:usr_2")
    with reading(made.engine) as connection:
        before = connection.execute(select(models.export)).all()
    for identifier in (complete, queued):
        with pytest.raises(WrongState):
            which(made, identifier)
    with pytest.raises(UnknownExport):
        which(made, "nobody")
    with reading(made.engine) as connection:
        assert connection.execute(select(models.export)).all() == before
