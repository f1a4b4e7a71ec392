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


UNCAUGHT_SCRIPT = """
import threading
from portability import logs

class Closing:
    def __del__(self):
        raise KeyError("hunter2")

def fail():
    raise ValueError("hunter2")

logs.configure()
for target in (fail, exit):
    ended = threading.Thread(target=target, name="mailer")
    ended.start()
    ended.join()
Closing()
raise RuntimeError("hunter2") from ValueError("hunter2")
"""


def test_an_error_that_nothing_catches_is_a_line_without_its_message() -> None:
    """The end of a thread, an error of a finalizer and the end of the process: type and place, in the usual form."""
    done = subprocess.run([sys.executable, "-c", UNCAUGHT_SCRIPT], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"hunter2" not in done.stderr
    lines = [orjson.loads(line) for line in done.stderr.splitlines()]
    seen = [(line["event"], line["error"], line["raised_at"][-1]) for line in lines]
    assert seen == [
        ("thread.ended", "ValueError", "<string>:10"),
        ("error.ignored", "KeyError", "<string>:7"),
        ("process.ended", "RuntimeError", "<string>:18"),
    ]
    assert lines[0]["thread"] == "mailer"


LOOP_SCRIPT = """
import asyncio
from cli.web import LoopFaults
from portability import logs

async def fail():
    raise ValueError("hunter2")

def call(token):
    raise KeyError(token)

async def serve():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(LoopFaults())
    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    loop.call_soon(call, "hunter2")
    await asyncio.sleep(0)
    loop.call_exception_handler({"message": "Task was destroyed but it is pending!"})

logs.configure()
asyncio.run(serve())
"""


def test_a_fault_of_the_event_loop_quotes_no_value() -> None:
    """Asyncio's own line has the message of an error, and the arguments of the callback that failed."""
    done = subprocess.run([sys.executable, "-c", LOOP_SCRIPT], capture_output=True, check=True)
    assert b"hunter2" not in done.stderr
    lines = [orjson.loads(line) for line in done.stderr.splitlines()]
    assert [(line["event"], line.get("error"), line.get("seen")) for line in lines] == [
        ("web.loop_fault", "ValueError", None),
        ("web.loop_fault", "KeyError", None),
        ("web.loop_fault", None, "Task was destroyed but it is pending!"),
    ]


COMMAND_SCRIPT = """
from cli import main

def fail(**_options):
    raise RuntimeError("Key (email)=(hunter2) already exists") from ValueError("hunter2")

main.main.main = fail
main.run()
"""


def test_an_unexpected_error_of_a_command_shows_its_place_and_no_value() -> None:
    """PostgreSQL quotes the row that a constraint refuses; schedulers keep and mail a command's output."""
    done = subprocess.run([sys.executable, "-c", COMMAND_SCRIPT], capture_output=True, check=False, text=True)
    *places, said = done.stderr.splitlines()
    assert done.returncode == 1
    assert said == "error: unexpected RuntimeError; its message may quote data and is left out"
    assert '  File "<string>", line 5, in fail' in places
    assert "hunter2" not in done.stderr
