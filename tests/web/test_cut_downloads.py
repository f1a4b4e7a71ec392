"""What is recorded of a download that is cut on our side: by storage, or because the web process stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from served import MIB, Served
from sqlalchemy import RowMapping, select
from workers import until

from cli.web import server_config
from portability.api.errors import StorageUnavailable
from portability.database import models
from portability.database.engine import reading, writing
from portability.delivery import links
from portability.storage.local import LocalStorage
from web.app import create_app

SIZE = 32 * MIB
"""More than the buffers of two sockets."""


def claim_path(served: Served, export_id: str) -> str:
    """The path at which the volume is downloaded."""
    token, keys = served.link(export_id).token, served.world.place.settings.keys
    with writing(served.world.engine) as connection:
        row = links.resolve(connection, keys, token)
        claim = links.claim(connection, row, 1, actor="subject:x", claims_max=1, claim_seconds=600)
    return f"/d/{token}/volumes/1?claim={claim}"


def download_of(served: Served, export_id: str) -> RowMapping:
    with reading(served.world.engine) as connection:
        query = select(models.download).where(models.download.c.export_id == export_id)
        return connection.execute(query).mappings().one()


def test_what_was_sent_before_a_fault_of_storage_is_recorded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader resumes after these bytes: without them the download would never be complete."""
    export_id = served.ready()
    path = claim_path(served, export_id)
    whole = httpx.get(f"{served.url}{path}", headers={"Range": "bytes=0-99"}).content

    def failing(_storage: LocalStorage, _key: str, _start: int = 0) -> Iterator[bytes]:
        yield whole
        raise StorageUnavailable("the connection to storage broke")

    monkeypatch.setattr(LocalStorage, "read", failing)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{served.url}{path}")
    until(lambda: download_of(served, export_id)["running"] == 0, "the answer has ended")
    assert download_of(served, export_id)["bytes"] == 200


async def read_and_stop(app: FastAPI, path: str) -> int:
    """Read a part of a download, and stop the server; returns how many bytes have arrived."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = server_config(app)
        config.timeout_graceful_shutdown = 0
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        read = len(await reader.readexactly(MIB))
        server.should_exit = True
        await serving
        writer.transport.abort()
    return read


def test_what_was_sent_before_the_web_process_stops_is_recorded(served: Served) -> None:
    """A restart cuts a slow download after the time to stop; the process ends once its bytes are recorded."""
    export_id = served.ready()
    served.grow(export_id, SIZE)
    path = claim_path(served, export_id)
    place = served.world.place
    app = create_app(place.settings, storage=place.storage)
    # A browser of other tests has an event loop in the first thread.
    with ThreadPoolExecutor() as thread:
        read = thread.submit(lambda: asyncio.run(read_and_stop(app, path))).result()
    row = download_of(served, export_id)
    assert row["running"] == 0
    assert read <= row["bytes"] < SIZE
    assert row["spans"] == [[0, row["bytes"]]]
