"""Many exports at once on PostgreSQL, an S3 server, Valkey and separate worker processes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers
from archives import export_json, members
from sqlalchemy import Engine, create_engine, select
from workers import Deployment, deployment, until

from archive.verify.archives import verify
from demo.plan import SeedPlan
from demo.seed import seed
from exporters.reference import schema
from portability.database.engine import open_engine, reading, writing
from portability.requests import acceptance, exports
from portability.requests.policy import Actor
from portability.storage import open_storage
from portability.trust.signing import Jwks


@pytest.fixture
def on_servers(pg_server: servers.Postgres, redis_url: str, s3: servers.S3Server) -> Iterator[dict[str, str]]:
    """Settings of a deployment: control database and platform are two databases of one PostgreSQL."""
    control, platform = pg_server.create_database(), pg_server.create_database()
    yield {
        "DATABASE_URL": pg_server.url(control),
        "SOURCE_URL": pg_server.url(platform),
        "REDIS_URL": redis_url,
        "STORAGE_URL": s3.url(f"archives-{secrets.token_hex(4)}"),
        "RECORDINGS_URL": s3.url(f"recordings-{secrets.token_hex(4)}"),
        "STORAGE_SSE": "AES256",
        "ALLOW_FETCH": "1",
        "ISSUER": "https://portability.example",
    }
    pg_server.drop_database(control)
    pg_server.drop_database(platform)


def wait_for_all(engine: Engine, seconds: float) -> None:
    """Wait until every export has ended."""

    def all_ended() -> bool:
        with reading(engine) as connection:
            return all(row["ended_at"] for row in exports.recent(connection, limit=1000))

    until(all_ended, "all exports end", seconds=seconds)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("tenants", "count"), [(4, 4), pytest.param(20, 200, marks=pytest.mark.system)])
def test_requests_at_once_are_all_ready_and_verified(
    on_servers: dict[str, str], tmp_path: Path, tenants: int, count: int
) -> None:
    """Users of several tenants ask in the same moment: an archive each, each of them verifies, none has a gap."""
    with deployment(tmp_path / "deployment", workers=2, **on_servers) as deployed:
        _check_requests_at_once(deployed, tmp_path, tenants, count)


def _check_requests_at_once(deployed: Deployment, tmp_path: Path, tenants: int, count: int) -> None:
    plan = SeedPlan(tenants=tenants, users=count, contacts=60, calls=60, chats=60, events=20 * count, recordings=5)
    seed(deployed.settings["SOURCE_URL"], open_storage(deployed.settings["RECORDINGS_URL"]), plan)
    with create_engine(deployed.settings["SOURCE_URL"]).connect() as connection:
        users = list(connection.scalars(select(schema.users.c.id)))
    engine = open_engine(deployed.settings["DATABASE_URL"])
    with writing(engine) as connection:
        for user in users:
            wanted = acceptance.check(profile="access", subject=f"user:{user}")
            acceptance.accept(connection, wanted, actor=Actor("operator", "test"))

    wait_for_all(engine, 500)
    rows = deployed.json("list", "--limit", "1000")
    jwks = Jwks.parse(json.loads(deployed.run("keys", "jwks").stdout))
    storage = open_storage(deployed.settings["STORAGE_URL"])
    archives = {
        archive.key: b"".join(storage.read(archive.key)) for archive in storage.list() if archive.key.endswith(".zip")
    }

    assert len(users) == count
    assert {row["state"] for row in rows} == {"ready"}
    assert {row["outcome_own"] for row in rows} <= {"complete", "with_remarks"}
    assert len(archives) == count
    assert {key.split("/")[0] for key in archives} == {row["id"] for row in rows}
    for key, content in archives.items():
        path = tmp_path / key.replace("/", "-")
        path.write_bytes(content)
        assert verify([path], jwks).ok


@pytest.mark.requirement("R24", "R31")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("recordings", "seconds", "volume_bytes"),
    [(7, 60, 2 << 20), pytest.param(110, 600, 256 << 20, marks=pytest.mark.system)],
)
def test_a_large_tenant_leaves_in_several_volumes(
    on_servers: dict[str, str], tmp_path: Path, recordings: int, seconds: int, volume_bytes: int
) -> None:
    """`switch`: every recording of the tenant in the archive, byte for byte: of 6 MB, and of a gigabyte."""
    plan = SeedPlan(
        tenants=1, users=2, contacts=50, calls=120, recordings=recordings, recording_seconds=(seconds, seconds)
    )
    report = seed(on_servers["SOURCE_URL"], open_storage(on_servers["RECORDINGS_URL"]), plan)
    sizes = {"VOLUME_BYTES": str(volume_bytes)}
    with deployment(tmp_path / "deployment", workers=1, **on_servers, **sizes) as large:
        tenant = f"tenant:{report.examples.tenant}"
        asked = large.json("request", "--profile", "switch", "--subject", tenant)["id"]
        wait_for_all(open_engine(on_servers["DATABASE_URL"]), 600)
        view = large.json("show", asked)
        archives = [Path(p) for p in large.json("fetch", view["id"], "--to", str(tmp_path / "fetched"))["archives"]]
        jwks = tmp_path / "jwks.json"
        jwks.write_text(large.run("keys", "jwks").stdout)
        verified = large.json("verify", *map(str, archives), "--jwks", str(jwks))

    assert report.bytes > 15_800 * seconds * recordings
    assert (view["state"], view["complete"]) == ("ready", True)
    assert len(archives) >= 3
    assert (verified["ok"], verified["volumes"]) == (True, len(archives))
    files_read = [body for name, body in members(archives) if name.startswith("data/calls/recordings/")]
    assert sum(map(len, files_read)) == report.bytes
    assert len(export_json(archives)["volumes"]) == len(archives)
