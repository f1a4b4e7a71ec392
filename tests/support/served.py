"""The web application on a real socket, with exports that workers have made."""

from __future__ import annotations

import hashlib
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import documented
import httpx
import issuer as issuers
import uvicorn
from factories import MadeUpExporter, World, described, things, world
from fastapi import FastAPI
from issuer import Issuer

from cli.context import Context
from cli.receiving_service import answers_of
from cli.web import server_config
from portability.api import Exporter
from portability.api.storages import Storage
from portability.database import models
from portability.database.engine import writing
from portability.delivery import links
from web.app import create_app

CSRF = re.compile(r'name="csrf" value="([^"]+)"')
OWNER = "usr_owner"
OTHER = "usr_other"
TENANT = "ten_a"
CONTACT = "con_1"
MIB = 1 << 20
CALL_SECONDS = 1200
"""Time limit of a call; half a minute where the clock runs forty times as fast."""


@dataclass
class Served:
    """A running server and what it stands on."""

    url: str
    world: World
    issuer: Issuer
    app: FastAPI

    def bearer(self, sub: str, *roles: str, **more: Any) -> dict[str, str]:
        return self.issuer.bearer(self.url, sub, *roles, **more)

    def call(self, method: str, path: str, sub: str = OWNER, *roles: str, **more: Any) -> httpx.Response:
        """An API call with a strong and recent login; its answer is as OpenAPI documents it."""
        headers = self.bearer(sub, *roles) | more.pop("headers", {})
        answer = httpx.request(method, f"{self.url}{path}", headers=headers, timeout=CALL_SECONDS, **more)
        documented.check(self.app.openapi(), method, answer)
        return answer

    def ready(self, subject: str = f"user:{OWNER}", **asked: Any) -> str:
        """An export that is ready."""
        identifier = self.world.request(subject, **asked)
        self.world.advance_all()
        return identifier

    def grow(self, export_id: str, size: int) -> str:
        """Put a large object in the place of the volume; returns its SHA-256. What is in it matters to no download."""
        block, digest = secrets.token_bytes(MIB), hashlib.sha256()
        key = f"{export_id}/1.1.large.zip"
        upload = self.world.place.storage.begin(key)
        for _ in range(size // MIB):
            upload.write(block)
            digest.update(block)
        upload.complete()
        grown = {"object_key": key, "bytes": size // MIB * MIB, "sha256": digest.hexdigest()}
        with writing(self.world.engine) as connection:
            connection.execute(models.volume.update().where(models.volume.c.export_id == export_id).values(**grown))
        return digest.hexdigest()

    def link(self, export_id: str, *, audience: str = "login", ttl_seconds: float = 600) -> links.Link:
        settings = self.world.place.settings
        with writing(self.world.engine) as connection:
            given = {"audience": audience, "ttl_seconds": ttl_seconds, "actor": "operator:test"}
            return links.issue(connection, settings.keys, export_id, **given)  # type: ignore[arg-type]  # of three types

    @contextmanager
    def browser(self, sub: str | None = None, *roles: str, **more: Any) -> Iterator[Browser]:
        """A visitor's session, logged in through the provider if a name is given."""
        with httpx.Client(base_url=self.url, timeout=30) as client:
            visitor = Browser(client)
            if sub is not None:
                self.issuer.person = self.issuer.claims(sub, *roles, **more)
                answer = client.get("/login", follow_redirects=True)
                assert answer.status_code == httpx.codes.OK, answer.text
            yield visitor


@dataclass
class Browser:
    """Sends forms as a browser does, with the token of the page."""

    client: httpx.Client

    def token(self, page: str = "/") -> str:
        found = CSRF.search(self.client.get(page).text)
        assert found
        return found[1]

    def send(self, action: str, *, page: str = "/", **fields: Any) -> httpx.Response:
        return self.client.post(action, data={**fields, "csrf": self.token(page)})


@contextmanager
def serving(
    folder: Path,
    redis_url: str,
    *,
    storage: Storage | None = None,
    records: int = 5,
    exporters: Mapping[str, Exporter] | None = None,
    **more: Any,
) -> Iterator[Served]:
    """A server for the length of the block."""
    # With the protocol, as the event loop makes its sockets: without it each answer waits 40 ms for an acknowledgement.
    tcp = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with issuers.running_issuer() as issuer, socket.socket(*tcp) as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = {
            "base_url": url,
            "redis_url": redis_url,
            "source_url": f"sqlite:///{folder / 'platform.sqlite'}",
            "oidc_issuer": issuer.url,
            "oidc_client_id": issuers.CLIENT,
            "oidc_client_secret": issuers.SECRET,
            "approvals": "none",
            **more,
        }
        made_up = exporters or {"made_up": MadeUpExporter(things(records), batch_records=max(3, records // 20))}
        names = [f"{name}/{dataset.name}" for name, exporter in made_up.items() for dataset in exporter.datasets]
        made = world(
            folder,
            made_up,
            storage=storage,
            **{"notice_dir": described(folder / "notice", *names, controller="Tests Inc."), **settings},
        )
        answers = answers_of(Context(lambda: made.place.settings, json=False))
        app = create_app(made.place.settings, storage=made.place.storage, answers=answers)
        server = uvicorn.Server(server_config(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield Served(url, made, issuer, app)
        finally:
            server.should_exit = True
            thread.join(30)
