from __future__ import annotations

import subprocess
import sys

import orjson

SCRIPT = """
import logging, structlog
from portability import logs

logs.configure()
logging.getLogger("library").warning("a library says %s", "something")
log = structlog.get_logger()
log.info("volume.stored", export="abc", volume=1)
try:
    raise ValueError("hunter2")
except ValueError as error:
    log.exception("volume.fault", export="abc", error=type(error).__name__)
    logging.getLogger("library").exception("it failed")
"""


def test_a_line_is_one_json_object_without_messages_of_errors() -> None:
    """Our lines and those of libraries have one form; messages of exceptions may be personal data and are left out."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)
    lines = [orjson.loads(line) for line in done.stderr.splitlines()]
    assert done.stdout == b""
    assert [line["event"] for line in lines][:3] == ["a library says something", "volume.stored", "volume.fault"]
    assert all(line.keys() >= {"event", "level", "timestamp"} for line in lines)
    assert [line["error"] for line in lines[2:]] == ["ValueError"] * 2
    assert [line["raised_at"] for line in lines[2:]] == [["<string>:10"]] * 2
    assert b"hunter2" not in done.stderr
