"""A transfer by real workers and a real clock: woken, encrypted, killed, announced, and whole in the end."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyrage
import pytest
from sqlalchemy import select
from transferring import Provider, providing
from workers import READY, deployment, has_killed, until

from demo.plan import SeedPlan
from demo.seed import seed
from portability.database import models
from portability.database.engine import open_engine, reading
from portability.plugins import EXPORTERS, find
from portability.storage import open_storage
from portability.storage.local import LocalStorage
from portability.transfers import sending

PLAN = SeedPlan(tenants=1, users=1, contacts=5, calls=20, recordings=20, recording_seconds=(60, 60))


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.system)])
def test_a_transfer_survives_the_death_of_its_workers(tmp_path: Path, redis_url: str, kills: int) -> None:
    """Repeated kill -9 during encryption: every volume has one copy that opens, and the recipient is notified."""
    folder = tmp_path / "state"
    settings = {"REDIS_URL": redis_url, "VOLUME_BYTES": str(2 << 20), "LEASE_SECONDS": "2", "CLOCK_SECONDS": "0.2"}
    allowed = {"ALLOW_LOOPBACK": "1", "APPROVALS": "none", "BACKOFF_SECONDS": "0.1"}
    with providing() as other, deployment(folder, workers=2, **settings, **allowed) as running:
        tenant = seed(
            f"sqlite:///{folder}/platform.sqlite", open_storage((folder / "recordings").as_uri()), PLAN
        ).examples.tenant
        running.run("keys", "new", "--purpose", "link")
        running.run("keys", "new", "--purpose", "transfer")
        subject = f"tenant:{tenant}"
        export_id = running.json("request", "--profile", "switch", "--subject", subject, "--wait", expect=READY)["id"]
        added = running.json("recipients", "add", "--name", "Other", "--country", "DE", *_options(other))
        other.recipient, other.secret = added["id"], added["webhook_secret"]
        everything = ",".join(find(EXPORTERS))
        to = ("--to", other.recipient)
        running.json(
            "authorisations", "add", "--subject", subject, *to, "--include", everything, "--evidence", "contract"
        )
        transfer_id = running.json("transfer", export_id, *to)["id"]
        engine = open_engine(f"sqlite:///{folder}/portability.sqlite")
        killed: set[int] = set()

        def works() -> int:
            with reading(engine) as connection:
                named = connection.scalar(select(models.transfer.c.owner))
            pid = int(named.rsplit(":", 1)[1]) if named else 0
            return 0 if pid in killed else pid

        def state() -> str:
            with reading(engine) as connection:
                return str(sending.get(connection, transfer_id)["state"])

        while len(killed) < kills and state() == "queued":
            if (pid := works()) and has_killed(pid):
                killed.add(pid)
        until(lambda: bool(other.webhooks), "the recipient is notified")

        url = other.event(other.webhooks[0])["data"]["url"]
        assert url.startswith("http://localhost:8000/d/")
        shown = running.json("transfers", "show", transfer_id)
        assert shown["state"] == "offered"
        with reading(engine) as connection:
            copies = sending.copies(connection, transfer_id)
        storage = LocalStorage(folder / "archives")
        for copy in copies:
            plain = pyrage.decrypt(b"".join(storage.read(copy["object_key"])), [other.identity])
            assert hashlib.sha256(plain).hexdigest() == copy["plain_sha256"]
        volumes = running.json("show", export_id)["volumes"]
        assert [copy["number"] for copy in copies] == [volume["number"] for volume in volumes]
        until(lambda: not list(storage.uploads()), "no upload is left open")
        kept = [found.key for found in storage.list() if found.key.endswith((".zip", ".age"))]
        assert len(kept) == 2 * len(volumes)


def _options(other: Provider) -> list[str]:
    return [
        *("--domain", "localhost", "--age-key", str(other.identity.to_public())),
        *("--jwks-url", f"{other.server.url}/jwks.json", "--webhook-url", f"{other.server.url}/hook"),
    ]
