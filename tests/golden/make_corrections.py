"""Writes the golden archive with a correction: two revisions, in a folder of its own.

`PYTHONPATH=tests:tests/support .venv/bin/python tests/golden/make_corrections.py`

Only before the first release that has corrections; afterwards it must always verify. The private key is gone with the
temporary folder.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import orjson
from factories import world
from gap_sources import retry_gaps, source_of

from portability.database.engine import reading
from portability.trust import keys

TARGET = Path(__file__).parent / "portability-1-corrections"


def write_corrected_archive() -> None:
    """Export a source that lacks a value and a file, repair it, and retry."""
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir()
    source = source_of(4, no_text={"thing_1"}, no_file={"2.wav"})
    with tempfile.TemporaryDirectory() as folder:
        made = world(Path(folder), {"made": source})
        identifier = made.request(formats=["jsonl", "csv"])
        made.advance_all()
        source.repair()
        retry_gaps(made, identifier)
        volumes = made.fetch(identifier)
        result = made.verify(volumes)
        assert result.ok
        with reading(made.engine) as connection:
            (TARGET / "jwks.json").write_bytes(orjson.dumps(keys.jwks(connection), option=orjson.OPT_INDENT_2) + b"\n")
        names = [Path(shutil.copy(volume, TARGET)).name for volume in volumes]
    case = {"name": "a record that a retry corrected", "volumes": names, "jwks": "jwks.json", "partial": False}
    case |= {"ok": result.ok, "files": result.files, "bytes": result.bytes, "errors": []}
    (TARGET / "cases.json").write_text(json.dumps([case], indent=1) + "\n")


if __name__ == "__main__":
    write_corrected_archive()
