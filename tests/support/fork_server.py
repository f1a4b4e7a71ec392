"""The program of `forks.py`: it imports this project and warms it up once; a request is a fork that runs Python code.

`python fork_server.py PARENT SOCKET`: a pid, and a descriptor of a SOCK_SEQPACKET on which requests come.
"""

from __future__ import annotations

import atexit
import faulthandler
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from typing import Any

import forked_children
import migrated
import shared_work

from portability.database.engine import open_engine, writing
from portability.processes import die_with_parent
from portability.settings import load_settings
from portability.trust import keys
from worker.process import tasks

REQUEST_BYTES_MAX = 1 << 18
STANDARD = (0, 1, 2)
FDS_MAX = 8
FILES_MAX = 256
"""No descriptor of this program is above."""
PACKAGES = ("portability", "exporters", "formats", "archive", "worker", "web", "receiver", "cli", "demo")
_exit_codes: list[int] = []
"""Of a fork whose program has ended."""
PROGRAMS = frozenset({"cli.main", "portability.database.migrations.env"})
"""What runs when it is imported."""


def import_project() -> None:
    """Import every module of the product: a command imports only what it needs, and finds it here."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        for module in _modules(package.__path__, name):
            importlib.import_module(module)


def _modules(path: Any, package: str) -> Iterator[str]:
    for found in pkgutil.iter_modules(path, f"{package}."):
        if found.name in PROGRAMS or ".versions" in found.name:
            continue
        yield found.name
        if found.ispkg:
            yield from _modules(importlib.import_module(found.name).__path__, found.name)


def warm_up(stack: ExitStack) -> None:
    """Do what a worker on the embedded stack does before its first job: its forks find the templates and statements.

    A worker that is a fork warms up again, for its own databases.
    """
    usual = gc.get_threshold()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PORTABILITY_DIR"] = folder
        settings = load_settings()
        engine = open_engine(settings.database)
        migrated.migrate(engine)
        with writing(engine) as connection:
            keys.ensure(connection, settings.keys, actor="operator:test")
        engine.dispose()
        stack.enter_context(shared_work.sharing())
        with redirect_stdout(io.StringIO()):
            tasks.warm_up()
        tasks._opened.cache_clear()
    gc.set_threshold(*usual)


def serve(requests: socket.socket) -> tuple[dict[str, Any], Sequence[int]] | None:
    """Fork for each request, and report pid and exit code; returns request and files in a fork, None at the end."""
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        while True:
            for key, _events in selector.select():
                if key.fileobj is not requests:
                    pid, report = key.data
                    selector.unregister(key.fileobj)
                    os.close(key.fd)
                    _report_end(pid, report)
                    continue
                content, received, _flags, _address = socket.recv_fds(requests, REQUEST_BYTES_MAX, FDS_MAX)
                if not content:
                    return None
                reported, *files = received
                if not (pid := os.fork()):
                    return json.loads(content), files
                for file in files:
                    os.close(file)
                report = socket.socket(fileno=reported)
                report.send(str(pid).encode())
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, report))


def _report_end(pid: int, report: socket.socket) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with report, suppress(BrokenPipeError):  # unless it is not waited for
        report.send(str(code).encode())


def take(files: Sequence[int], inherits: Sequence[int]) -> None:
    """Make these files standard input, output and error, and what is inherited; close all others of the server."""
    kept = {*STANDARD, *inherits}
    for number, file in zip((*STANDARD, *inherits), files, strict=True):
        os.dup2(file, number)
    for number in set(range(FILES_MAX)) - kept:
        os.closerange(number, number + 1)


def serve_own(stack: ExitStack) -> bool:
    """Serve the forks of this process from now on; returns True in such a fork, after it has run its code.

    The server is a fork as well, which ends with this process: what this process opens later is not in its forks.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    own = os.getpid()
    if os.fork():
        theirs.close()
        forked_children.fork_through(ours)
        return False
    ours.close()
    die_with_parent(own)
    server = os.getpid()
    taken = serve(theirs)
    if taken is None:
        os._exit(0)
    die_with_parent(server)
    take(taken[1], taken[0]["inherits"])
    become(taken[0], stack)
    return True


def become(request: dict[str, Any], stack: ExitStack) -> None:
    """Run what is asked for, in its folder and with its environment, as `python -m` and `python -c` do."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[:0] = filter(None, request["environment"].get("PYTHONPATH", "").split(os.pathsep))
    time.tzset()
    tempfile.tempdir = None
    sys.argv = [request["module"] or "-c", *request["arguments"]]
    if request["module"]:
        stack.enter_context(migrated.copying())
        if forked_children.NAME in os.environ and serve_own(stack):
            return
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    else:
        exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102  # a test's own code


def _end_quickly() -> None:
    """End a fork after all other exit handlers; the interpreter would copy its memory in order to free it."""
    if _exit_codes:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_exit_codes[0])


if __name__ == "__main__":
    atexit.register(_end_quickly)  # before all imports of the product: the first runs last
    die_with_parent(int(sys.argv[1]))
    faulthandler.register(signal.SIGUSR2)  # in forks, too: a test that finds a thread can see what it does
    gc.disable()  # what is made now stays
    import_project()
    patches = ExitStack()
    warm_up(patches)
    gc.collect()
    gc.freeze()
    gc.enable()
    own = os.getpid()
    if taken := serve(socket.socket(fileno=int(sys.argv[2]))):
        die_with_parent(own)
        take(taken[1], taken[0]["inherits"])
        try:
            become(taken[0], patches)
            _exit_codes.append(0)
        except SystemExit as ended:
            if not isinstance(ended.code, str):
                _exit_codes.append(ended.code or 0)
            raise
