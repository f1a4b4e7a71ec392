"""Every record and every byte of every file exactly once, for all sizes of batches, pieces and volumes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from archives import export_json, members, records
from examples import examples
from factories import MadeUpExporter, file, things, world
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=examples(7))
@given(
    count=st.integers(0, 60),
    batch=st.integers(1, 20),
    piece_bytes=st.integers(1, 3000),
    volume_bytes=st.integers(65_536, 90_000),
    file_sizes=st.lists(st.integers(0, 200_000), max_size=4),
)
def test_every_record_and_file_is_in_the_archive_once(
    count: int, batch: int, piece_bytes: int, volume_bytes: int, file_sizes: list[int]
) -> None:
    """Volumes are written by one claim each, resumed from the committed position, without losses or duplicates."""
    contents = {f"file_{n}.wav": bytes([n]) * size for n, size in enumerate(file_sizes)}
    batches = max(1, -(-count // batch))
    spread: dict[int, list[object]] = {}
    for n, (name, content) in enumerate(contents.items()):
        spread.setdefault(n % batches, []).append(file(name, content))
    source = things(count)
    exporter = MadeUpExporter(source, batch_records=batch, files=spread if count else {})  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        made = world(Path(folder), {"made": exporter}, piece_bytes=piece_bytes, volume_bytes=volume_bytes)
        identifier = made.request()
        made.advance_all()
        paths = made.fetch(identifier)

        assert made.verify(paths).ok
        assert made.view(identifier)["complete"] is True
        assert records(paths, "made", "things") == source
        assert _files(paths) == (contents if count else {})
        assert export_json(paths)["datasets"][0]["records"] == count


def _files(paths: list[Path]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, body in members(paths):
        if name.startswith("data/made/things/"):
            whole = name.removeprefix("data/made/things/").split(".part-")[0]
            found[whole] = found.get(whole, b"") + body
    return found
