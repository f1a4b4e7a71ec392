"""Writes the golden archives with counts: a whole one, and one without its second volume, which contradicts itself.

`PYTHONPATH=tests:tests/support .venv/bin/python tests/golden/make_counts.py`

Only before the first release that has counts; afterwards it must always verify. The private key is gone with the
temporary folder.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import orjson
from left_out import counted_export, volumes_of
from sqlalchemy import select

from portability.database import models
from portability.database.engine import reading
from portability.trust import keys

TARGET = Path(__file__).parent / "portability-1-counts"


def write_counted_archives() -> None:
    """Export the same records twice; the second time the database forgets a volume."""
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir()
    cases = [_case("volumes that count their records"), _case("a volume was left out", left_out=2)]
    (TARGET / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")


def _case(name: str, *, left_out: int | None = None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        made, identifier = counted_export(Path(folder), left_out=left_out)
        volumes = volumes_of(made, identifier)
        result = made.verify(volumes)
        jwks = "jwks.json" if left_out is None else "jwks-left-out.json"
        with reading(made.engine) as connection:
            assert len(connection.scalars(select(models.signing_key.c.kid)).all()) == 1
            (TARGET / jwks).write_bytes(orjson.dumps(keys.jwks(connection), option=orjson.OPT_INDENT_2) + b"\n")
        names = [Path(shutil.copy(volume, TARGET)).name for volume in volumes]
    errors = [{"code": fault.code, "volume": fault.volume, "file": fault.file} for fault in result.errors]
    case = {"name": name, "volumes": names, "jwks": jwks, "partial": False}
    return case | {"ok": result.ok, "files": result.files, "bytes": result.bytes, "errors": errors}


if __name__ == "__main__":
    write_counted_archives()
