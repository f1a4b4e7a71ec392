"""A rolling upgrade and the way back: processes of two releases work on one deployment, and no export fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest
import servers
from releases import ReleasedCode, release
from repository import ROOT
from sqlalchemy import Engine, create_engine, func, select
from workers import Deployment, until

from demo.plan import SeedPlan
from demo.seed import seed
from exporters.reference import schema
from portability.database import models
from portability.database.engine import open_engine, reading
from portability.trust import audit

EXPORT, VOLUME = models.export, models.volume
ENDED = {"ready", "failed", "cancelled", "denied"}
PLAN = SeedPlan(tenants=4, users=8, contacts=48, calls=400, chats=400, events=4000, recordings=0)
SETTINGS = {
    "LEASE_SECONDS": "10",
    "CLOCK_SECONDS": "0.3",
    "DRAIN_SECONDS": "2",
    "APPROVALS": "none",
    "VOLUME_BYTES": "65536",
    "PIECE_BYTES": "8192",
    "ALLOW_FETCH": "1",
}
ASK = """
import sys
from portability.database.engine import open_engine, writing
from portability.requests import acceptance
from portability.requests.policy import Actor
actor = "operator:test" if acceptance.accept.__annotations__["actor"] == "str" else Actor("operator", "test")
engine = open_engine(sys.argv[1])
for each in sys.argv[2:]:
    profile, subject, tenant = each.split(",")
    wanted = acceptance.check(profile=profile, subject=subject, tenant=tenant or None)
    with writing(engine) as connection:
        print(acceptance.accept(connection, wanted, actor=actor)[0])
"""
"""What a web process of either release does with a request, after the login."""
VERIFY = """
import json, sys
from pathlib import Path
from archive.verify.archives import verify
from portability.trust.signing import Jwks
jwks = Jwks.parse(json.loads(Path(sys.argv[1]).read_text()))
for each in sys.argv[2:]:
    verdict = verify([Path(each)], jwks)
    print(verdict.ok, verdict.errors)
"""
BACK = """
CREATE SCHEMA before_upgrade;
CREATE TABLE before_upgrade.alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO before_upgrade.alembic_version VALUES ('0008_recipients');
"""
"""docs/upgrading.md, going back: old processes find the revision that they know, and the tables as they are."""
FORWARD = "DROP SCHEMA before_upgrade CASCADE"


@dataclass
class TwoReleases:
    """One deployment on servers, with the code of two releases."""

    old: ReleasedCode
    new: ReleasedCode
    deployed: Deployment
    """Commands of the new release, without the time to import it."""
    url: str
    source_url: str
    engine: Engine
    asked: list[str] = field(default_factory=list)

    def ask(self, code: ReleasedCode, *wanted: str) -> list[str]:
        """Accept requests of the form `profile,subject,tenant` by the code of a release; returns the exports."""
        made = code.execute(ASK, self.url, *wanted).split()
        self.asked += made
        return made

    def states(self) -> Counter[str]:
        with reading(self.engine) as connection:
            return Counter(connection.scalars(select(EXPORT.c.state)))

    def faults(self) -> list[tuple[str, str]]:
        """Which exports failed, and why."""
        with reading(self.engine) as connection:
            failed = select(EXPORT.c.id, EXPORT.c.error_message).where(EXPORT.c.state == "failed")
            return [(identifier, message) for identifier, message in connection.execute(failed)]

    def volumes(self, identifier: str) -> int:
        """How many volumes of an export are stored."""
        stored = (VOLUME.c.export_id == identifier, VOLUME.c.state == "stored")
        with reading(self.engine) as connection:
            return int(connection.scalar(select(func.count()).where(*stored)) or 0)

    def half_way(self, identifier: str) -> None:
        """Wait until an export is under way: one volume more is stored, and it is not ready."""
        before = self.volumes(identifier)
        until(lambda: self.volumes(identifier) > before, f"a volume of {identifier} is stored ({self.states()})")
        assert self.states()["running"] >= 1

    def ready(self, identifiers: Sequence[str]) -> None:
        """Wait until these exports are ready."""
        those = (EXPORT.c.id.in_(identifiers), EXPORT.c.state == "ready")

        def are() -> bool:
            with reading(self.engine) as connection:
                return connection.scalar(select(func.count()).where(*those)) == len(identifiers)

        until(are, f"{len(identifiers)} exports are ready ({self.states()})")

    def all_ready(self) -> None:
        """Wait until all exports have ended; each is ready."""
        until(lambda: self.states().keys() <= ENDED, "all exports end", seconds=240)
        assert self.faults() == []
        assert self.states() == {"ready": len(self.asked)}

    def all_verified(self, folder: Path) -> None:
        """Fetch all archives, and let the code of both releases verify each."""
        folders = [folder / identifier for identifier in self.asked]
        for each in folders:
            self.deployed.run("fetch", each.name, "--to", str(each))
        jwks = folder / "jwks.json"
        jwks.write_text(self.deployed.run("keys", "jwks").stdout)
        for code in (self.old, self.new):
            assert code.execute(VERIFY, str(jwks), *map(str, folders)).splitlines() == ["True ()"] * len(folders)


@contextmanager
def at_work(code: ReleasedCode, **settings: str) -> Iterator[None]:
    """A worker, a clock and a web process of a release: each begins, and none ends by itself."""
    (port,) = servers.free_ports(1)
    commands = (("worker",), ("clock",), ("web", "--port", str(port)))
    processes = [code.start(*command, **settings) for command in commands]
    try:
        until(lambda: answers(port) or any(each.poll() is not None for each in processes), "web answers")
        yield
        assert answers(port)
        assert [process.poll() for process in processes] == [None] * 3
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)


def answers(port: int) -> bool:
    """Whether a web process is ready: it has asked the control database."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def both(tmp_path: Path, pg_server: servers.Postgres, redis_url: str) -> Iterator[TwoReleases]:
    """The code of two releases with the same settings, on a platform with four tenants."""
    control, platform = pg_server.url(pg_server.create_database()), pg_server.url(pg_server.create_database())
    seed(platform, None, PLAN)
    urls = {"DATABASE_URL": control, "SOURCE_URL": platform, "REDIS_URL": redis_url}
    settings = SETTINGS | urls | {"STORAGE_URL": f"file://{tmp_path}/archives", "BASE_URL": "http://127.0.0.1:8000"}
    deployed = Deployment(tmp_path / "state", settings)
    old = ReleasedCode(release(), deployed.environment, tmp_path / "old.log")
    new = ReleasedCode(ROOT, deployed.environment, tmp_path / "new.log")
    engine = open_engine(control)
    yield TwoReleases(old, new, deployed, control, platform, engine)
    engine.dispose()


def subjects(source_url: str) -> tuple[list[str], list[str]]:
    """Requests for four companies that switch, and for their customers, in the form of `TwoReleases.ask`."""
    engine = create_engine(source_url)
    with engine.connect() as connection:
        rows = connection.execute(select(schema.contacts.c.tenant_id, schema.contacts.c.id)).all()
    engine.dispose()
    tenants = sorted({row.tenant_id for row in rows})
    people = [f"access,contact:{row.id},{row.tenant_id}" for row in sorted(rows, key=lambda row: row.id)]
    return [f"switch,tenant:{tenant}," for tenant in tenants], people


@pytest.mark.system
@pytest.mark.timeout(900)
def test_no_export_fails_during_an_upgrade_and_the_way_back(both: TwoReleases, tmp_path: Path) -> None:
    """Database first, then new processes beside old, new alone, old again on the new schema, and at the end new again.

    Each phase begins with exports under way. All become ready, the audit log is whole, and both releases verify each
    archive. What the new release had begun waits for it, while the old release is back.
    """
    (first, second, third, fourth), people = subjects(both.source_url)
    both.old.run("db", "upgrade")
    for purpose in ("archive", "link", "audit"):
        both.old.run("keys", "new", "--purpose", purpose)
    with ExitStack() as new_processes:
        with at_work(both.old):
            (switch, *_) = both.ask(both.old, first, *people[:3])
            both.half_way(switch)
            both.deployed.run("db", "upgrade")
            (switch,) = both.ask(both.old, second)
            both.half_way(switch)
            new_processes.enter_context(at_work(both.new))
            (switch, *_) = both.ask(both.old, third, *people[3:6])
            both.ask(both.new, *people[6:9])
            both.half_way(switch)
        with_forms = both.ask(both.new, *people[9:11])
        both.ready(with_forms)
        (switch,) = both.ask(both.new, fourth)
        both.half_way(switch)
        both.ask(both.new, *people[13:17])
        execute(both.url, BACK)
        with at_work(both.old, PORTABILITY_DATABASE_URL=f"{both.url}?options=-csearch_path%3Dbefore_upgrade%2Cpublic"):
            new_processes.close()
            both.ready(both.ask(both.old, *people[11:13]))
            assert both.faults() == []
        execute(both.url, FORWARD)
        with at_work(both.new):
            both.all_ready()
    both.all_verified(tmp_path / "fetched")
    audit.chain_all(both.engine)
    with reading(both.engine) as connection:
        assert audit.verify(connection).ok


def execute(url: str, statements: str) -> None:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute(statements.encode())
