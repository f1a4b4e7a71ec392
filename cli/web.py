"""`portability web`: pages and API."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
import time
from contextlib import suppress
from typing import Any

import click
import structlog
import uvicorn
from fastapi import FastAPI

from cli.context import LIMIT_MAX, Context, beginning
from cli.receiving_service import answers_of
from portability import logs
from portability.api.errors import BadInput
from portability.law import notice
from portability.processes import report_ready
from portability.setting_values import listening_address
from web.app import create_app

STOP_SECONDS = 10
ACCEPTS_NOTHING_SECONDS = 60
"""How often the log says that no connection can be accepted, while it is so."""
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
TAKEN_HINT = "stop what listens there, or use another --host or --port"
NOT_OURS_HINT = "--host is an address of this machine or a name that leads to one; a --port below 1024 needs a right"
log = structlog.get_logger()


@click.command()
@click.option("--host", help="Address to listen at; default: 127.0.0.1 if BASE_URL is this machine, else 0.0.0.0.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port; default: that of BASE_URL, else 8000.")
@click.option(
    "--fd", type=click.IntRange(0, LIMIT_MAX), help="Number of an inherited listening socket, instead of host and port."
)
@beginning
def web(context: Context, host: str | None, port: int | None, fd: int | None) -> None:
    """Serve pages and API until stopped."""
    logs.configure()
    inherited = None if fd is None else [_socket(fd)]
    exporters = context.exporters  # before a key is made, so that a wrong deployment does not start
    notice.check(context.notice, exporters, embedded=context.settings.embedded, laws=context.settings.laws)
    context.ensure_key("link", actor="operator:web")
    settings = context.settings
    usual_host, usual_port = listening_address(settings.base_url)
    app = create_app(settings, storage=context.storage, answers=answers_of(context))
    host, port = host or usual_host, port or usual_port
    server = ReportingServer(server_config(app, host=host, port=port))
    try:
        with suppress(KeyboardInterrupt):
            server.run(sockets=inherited)
    except SystemExit as ended:  # uvicorn's, with an exit code that has another meaning here; its log line says why
        is_taken = getattr(ended.__context__, "errno", errno.EADDRINUSE) == errno.EADDRINUSE
        hint = TAKEN_HINT if is_taken else NOT_OURS_HINT
        raise BadInput(f"the pages cannot listen at port {port} of {host}", hint=hint) from None
    if not server.started:
        sys.exit(1)


def server_config(app: FastAPI, *, host: str = "127.0.0.1", port: int = 8000) -> uvicorn.Config:
    """Return how `web` is served. Proxies are trusted by their addresses in FORWARDED_ALLOW_IPS (docs/proxy.md)."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        # Its access log contains paths and queries, and therefore tokens; ours contains routes (web/headers.py).
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


class LoopFaults:
    """Logs what fails in the event loop, without the values and messages of errors that the library's own line quotes.

    Where the process has no file left for a connection, the library reports each of 2048 tries a second: that would
    fill the disk of the logs, and is one line a minute here.
    """

    def __init__(self) -> None:
        self._said_at = -float(ACCEPTS_NOTHING_SECONDS)

    def __call__(self, _loop: asyncio.AbstractEventLoop, fault: dict[str, Any]) -> None:
        """Log a fault as asyncio describes it (loop.call_exception_handler)."""
        error = fault.get("exception")
        if not error:
            log.error("web.loop_fault", seen=fault["message"])
        elif not (isinstance(error, OSError) and error.errno in NO_ROOM and "socket" in fault):
            # Its message quotes the arguments of a callback, and the error's own message.
            log.error("web.loop_fault", exc_info=(type(error), error, error.__traceback__))
        elif time.monotonic() - self._said_at >= ACCEPTS_NOTHING_SECONDS:
            self._said_at = time.monotonic()
            log.error("web.accepts_nothing", error=errno.errorcode[error.errno or 0])


class ReportingServer(uvicorn.Server):
    """Uvicorn's server, which reports to its supervisor when it serves."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve, and report it; where that fails `started` stays False."""
        asyncio.get_running_loop().set_exception_handler(LoopFaults())
        await super().startup(sockets)
        if self.started:
            report_ready()


def _socket(fd: int) -> socket.socket:
    with suppress(OSError):
        lent = socket.socket(fileno=os.dup(fd))
        if lent.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return lent
        lent.close()
    raise BadInput(f"file descriptor {fd} is not a listening socket", hint="remove --fd to listen at --host and --port")
