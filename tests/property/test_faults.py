"""The kind of fault decides: ours never gives an incomplete archive, a source's is in the ledger."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from archives import export_json, members, records
from examples import examples
from factories import MadeUpExporter, file, things, world
from faults import FaultyStorage, Operation
from hypothesis import given, settings
from hypothesis import strategies as st

from portability.api.errors import SourceRefused, SourceUnavailable, StorageUnavailable
from portability.storage.local import LocalStorage

COUNT = 40


@settings(max_examples=examples(7))
@given(operation=st.sampled_from(["begin", "write", "complete"]), fail_at=st.integers(1, 6), times=st.integers(1, 3))
def test_a_fault_of_ours_at_any_step_costs_a_volume_and_nothing_else(
    operation: Operation, fail_at: int, times: int
) -> None:
    """Storage failing at any step: the upload is aborted, the volume written again, the archive whole, nothing left."""

    def fail(now: Operation, count: int) -> None:
        if now == operation and fail_at <= count < fail_at + times:
            raise StorageUnavailable("fails on purpose")

    source = things(COUNT)
    with tempfile.TemporaryDirectory() as folder:
        storage = FaultyStorage(LocalStorage(Path(folder) / "archives"), before=fail)
        exporter = MadeUpExporter(source, files={0: [file("a.wav", secrets.token_bytes(350_000))]})
        made = world(Path(folder), {"made": exporter}, storage=storage, piece_bytes=500, volume_bytes=65_536)
        identifier = made.request()
        made.advance_all()
        paths = made.fetch(identifier)

        assert made.view(identifier)["state"] == "ready"
        assert [v["number"] for v in made.view(identifier)["volumes"]] == list(range(1, len(paths) + 1))
        assert made.verify(paths).ok
        assert records(paths, "made", "things") == source
        assert list(storage.uploads()) == []
        assert len(list(storage.list())) == len(paths)


@settings(max_examples=examples(7))
@given(dies_at=st.integers(0, COUNT // 3), error=st.sampled_from([SourceRefused, SourceUnavailable, ValueError]))
def test_a_source_that_dies_at_any_batch_ends_its_dataset_there(dies_at: int, error: type[Exception]) -> None:
    """Every whole batch before the fault is delivered, the ledger says partial or refused and names the gap."""
    source = things(COUNT)

    def die(number: int) -> None:
        if number >= dies_at:
            raise error("personal data of somebody")

    with tempfile.TemporaryDirectory() as folder:
        made = world(Path(folder), {"made": MadeUpExporter(source, on_batch=die)}, piece_bytes=300)
        identifier = made.request()
        made.advance_all()
        paths = made.fetch(identifier)
        (line,) = export_json(paths)["datasets"]

        assert made.verify(paths).ok
        assert records(paths, "made", "things") == source[: dies_at * 3]
        assert line["state"] == "partial"
        assert [gap["dataset"] for gap in export_json(paths)["gaps"]] == ["things"]
        assert made.view(identifier)["complete"] is False
        assert b"personal data of somebody" not in b"".join(body for _name, body in members(paths))


@settings(max_examples=examples(7))
@given(dies_at=st.integers(0, 9_000), recovers=st.booleans())
def test_a_file_that_breaks_is_resumed_or_reported_as_truncated(dies_at: int, recovers: bool) -> None:
    """A broken stream continues from its own offset; a stream that stays broken ends there, with a gap."""
    content = bytes(range(256)) * 36
    broken = [True]

    def opens(offset: int) -> Iterator[bytes]:
        if offset < dies_at:
            yield content[offset:dies_at]
        if broken[0]:
            broken[0] = not recovers
            raise SourceUnavailable("the connection broke")
        yield content[max(offset, dies_at) :]

    exporter = MadeUpExporter(things(1), files={0: [file("a.wav", content, opens=opens)]})
    with tempfile.TemporaryDirectory() as folder:
        made = world(Path(folder), {"made": exporter})
        identifier = made.request()
        made.advance_all()
        paths = made.fetch(identifier)
        written = {name: body for name, body in members(paths) if name.endswith(".wav")}

        assert made.verify(paths).ok
        assert made.view(identifier)["complete"] is recovers
        expected = content if recovers else content[:dies_at]
        assert written == ({"data/made/things/a.wav": expected} if expected else {})
        assert [gap["reason"] for gap in export_json(paths)["gaps"]] == ([] if recovers else ["source_unavailable"])
