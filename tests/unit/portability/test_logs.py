from __future__ import annotations

import subprocess
import sys

import orjson
import pytest

pytestmark = pytest.mark.slow

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


RQ_SCRIPT = """
import logging, warnings
from redis.exceptions import ConnectionError
from rq.logutils import setup_loghandlers
from portability import logs

logs.configure()
setup_loghandlers("WARNING", name="rq.worker")
log = logging.getLogger("rq.worker")
log.error("Worker %s: could not connect: %s retrying in %d seconds", "w", ConnectionError("hunter2"), 2)
log.info("Worker w: a job begins")
try:
    raise ConnectionError("hunter2")
except ConnectionError:
    log.error("Worker %s: found an unhandled exception, quitting...", "w", exc_info=True)
warnings.warn("something is old")
"""


def test_lines_of_rq_and_warnings_have_the_same_form() -> None:
    """RQ adds no handler of its own. Its lines name their logger and the type of an error, and quote no message."""
    done = subprocess.run([sys.executable, "-c", RQ_SCRIPT], capture_output=True, check=True)
    assert done.stdout == b""
    away, fault, warning = [orjson.loads(line) for line in done.stderr.splitlines()]
    assert (away["event"], away["error"]) == (
        "Worker w: could not connect: ConnectionError retrying in 2 seconds",
        "ConnectionError",
    )
    assert (fault["event"], fault["error"]) == (
        "Worker w: found an unhandled exception, quitting...",
        "ConnectionError",
    )
    assert [line["logger"] for line in (away, fault, warning)] == ["rq.worker", "rq.worker", "py.warnings"]
    assert [line["level"] for line in (away, fault, warning)] == ["error", "error", "warning"]
    assert b"hunter2" not in done.stderr
