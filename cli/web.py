"""`portability web`: pages and API."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress

import click
import uvicorn

from cli.context import Context, shared
from portability import keys, logs
from portability.db import writing
from portability.errors import BadInput, NoSigningKey
from portability.setting_values import listening_address
from web.app import create_app

STOP_SECONDS = 10


@click.command()
@click.option("--host", help="Address to listen at; default: 127.0.0.1 where BASE_URL is this machine, else 0.0.0.0.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port; default: that of BASE_URL, else 8000.")
@click.option("--fd", type=click.IntRange(0), help="Number of an inherited socket that listens, instead of both.")
@shared
def web(context: Context, host: str | None, port: int | None, fd: int | None) -> None:
    """Serve pages and API until stopped."""
    logs.configure()
    inherited = None if fd is None else [_socket(fd)]
    make_link_key(context)
    settings = context.settings
    usual_host, usual_port = listening_address(settings.base_url)
    config = uvicorn.Config(
        create_app(settings, storage=context.storage),
        host=host or usual_host,
        port=port or usual_port,
        # Its access log has paths and queries, and so tokens; ours has routes (web/headers.py).
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets=inherited)
    if not server.started:
        sys.exit(1)


def _socket(fd: int) -> socket.socket:
    with suppress(OSError):
        lent = socket.socket(fileno=os.dup(fd))
        if lent.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return lent
        lent.close()
    raise BadInput(
        f"file descriptor {fd} is no socket that listens", hint="leave --fd out to listen at --host and --port"
    )


def make_link_key(context: Context) -> None:
    """On the embedded stack the key of links and sessions is made by itself. Raises NoSigningKey elsewhere."""
    settings = context.settings
    with writing(context.engine) as connection:
        try:
            keys.signing(connection, settings.keys, purpose="link")
        except NoSigningKey:
            if not settings.embedded:
                raise
            keys.new(connection, settings.keys, purpose="link", actor="operator:web")
