"""`portability web`: pages and API."""

from __future__ import annotations

from urllib.parse import urlsplit

import click
import uvicorn

from cli.context import Context, shared
from portability import keys, logs
from portability.db import writing
from portability.errors import NoSigningKey
from portability.setting_values import is_loopback
from web.app import create_app

STOP_SECONDS = 10


@click.command()
@click.option("--host", help="Address to listen at; default: 127.0.0.1 where BASE_URL is this machine, else 0.0.0.0.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port; default: that of BASE_URL, else 8000.")
@shared
def web(context: Context, host: str | None, port: int | None) -> None:
    """Serve pages and API until stopped."""
    logs.configure()
    make_link_key(context)
    settings = context.settings
    uvicorn.run(
        create_app(settings, storage=context.storage),
        host=host or ("127.0.0.1" if is_loopback(settings.base_url) else "0.0.0.0"),  # noqa: S104  # behind a proxy
        port=port or _port(settings.base_url),
        # Its access log has paths and queries, and so tokens; ours has routes (web/headers.py).
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
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


def _port(base_url: str) -> int:
    parts = urlsplit(base_url)
    return parts.port or 8000
