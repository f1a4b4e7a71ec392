"""A server that accepts the connection and says nothing: the driver gives up."""

from __future__ import annotations

import socket
from functools import partial

import pytest
from sqlalchemy import URL, make_url

from exporters.sql.faults import reading
from exporters.sql.mapped import databases
from portability.api.errors import SourceUnavailable


def _read(url: URL) -> None:
    engine = databases.open_database("mysql", url, 0)
    try:
        with reading(engine, "the database"):
            pass
    finally:
        engine.dispose()


@pytest.mark.parametrize(("own", "driver"), [("", 0.2), ("?read_timeout=1", 600)])
def test_a_silent_mariadb_is_unavailable(monkeypatch: pytest.MonkeyPatch, own: str, driver: float) -> None:
    """Its driver waits for ever by itself; a limit of the URL is kept."""
    monkeypatch.setattr(databases, "CONNECT_SECONDS", driver)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        read = partial(_read, make_url(f"mysql+pymysql://a:b@127.0.0.1:{silent.getsockname()[1]}/shop{own}"))
        with pytest.raises(SourceUnavailable, match="the database does not answer"):
            read()
