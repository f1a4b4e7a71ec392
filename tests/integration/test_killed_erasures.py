"""`portability erase` is killed at each of its commits, on real servers: the clock ends it, and others lose nothing."""

from __future__ import annotations

import secrets
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import forks
import pytest
import redis
from servers.s3 import S3Server
from sqlalchemy import select
from workers import Deployment, deployment, until

from demo.plan import SeedPlan
from demo.seed import seed
from portability.database import models
from portability.database.engine import open_engine, reading
from portability.storage import open_storage

POINTS = 12
"""More than the commits of the command, so that the last kills find none."""
KILLED_AT = """
import itertools, os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from cli.main import main

at, commits = int(sys.argv[1]), itertools.count(1)

def before_commit(_connection):
    if next(commits) == at:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "commit", before_commit)
sys.argv = ["portability", *sys.argv[2:]]
main()
"""


def ready_archive(deployed: Deployment, user: str) -> str:
    """An archive of a user that is ready."""
    request = deployed.json("request", "--profile", "access", "--subject", f"user:{user}")
    export_id = str(request["id"])
    until(lambda: deployed.json("show", export_id)["state"] == "ready", "it is ready")
    return export_id


def columns_naming(url: str, user: str) -> set[str]:
    """The columns of all tables that contain the id of a user."""
    engine, found = open_engine(url), set()
    with reading(engine) as connection:
        for table in models.metadata.sorted_tables:
            for row in connection.execute(select(table)).mappings():
                found |= {f"{table.name}.{name}" for name, value in row.items() if user in str(value)}
    engine.dispose()
    return found


@pytest.mark.system
def test_an_erasure_that_is_killed_at_a_commit_ends(pg_url: str, redis_url: str, s3: S3Server, tmp_path: Path) -> None:
    """Nothing of the person is in tables, storage, Valkey or logs; the archive of another person is as it was."""
    seed(f"sqlite:///{tmp_path}/platform.sqlite", open_storage((tmp_path / "sound").as_uri()), SeedPlan(users=2))
    with closing(sqlite3.connect(tmp_path / "platform.sqlite")) as connection:
        erased, other = (row[0] for row in connection.execute("select id from users order by id limit 2"))
    storage_url, deaths = s3.url(f"prefix-{secrets.token_hex(6)}"), 0
    servers = {"DATABASE_URL": pg_url, "REDIS_URL": redis_url, "STORAGE_URL": storage_url}
    command = ("erase", "--subject", f"user:{erased}", "--reason", "ticket 7", "--ground", "subject", "--json")
    with deployment(tmp_path, workers=1, **servers) as deployed:
        storage, kept = open_storage(storage_url), ready_archive(deployed, other)
        before = sorted(found.key for found in storage.list(f"{kept}/"))
        for at in range(1, POINTS + 1):
            export_id = ready_archive(deployed, erased)
            died = forks.run_fork([str(at), *command], deployed.environment, seconds=120, code=KILLED_AT)
            deaths += died.returncode == -signal.SIGKILL
            until(lambda: deployed.json(*command)["state"] == "done", "the erasure has ended")
            assert columns_naming(pg_url, erased) == set()
            assert (list(storage.list(f"{export_id}/")), list(storage.uploads(f"{export_id}/"))) == ([], [])
            with redis.Redis.from_url(redis_url) as client:
                assert not any(erased.encode() in (client.dump(key) or b"") + key for key in client.scan_iter())
        assert sorted(found.key for found in storage.list(f"{kept}/")) == before
        assert deployed.json("show", kept)["state"] == "ready"
        deployed.run("audit", "verify")
        assert erased not in deployed.log.read_text()
    assert deaths >= 4
