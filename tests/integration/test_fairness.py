"""Many exports of one tenant do not make another tenant wait."""

from __future__ import annotations

from collections import Counter
from itertools import islice, product
from pathlib import Path

import pytest
import servers
from sqlalchemy import create_engine, func, select
from workers import Deployment, deployment, until

from demo.plan import SeedPlan
from demo.seed import seed
from exporters.reference import schema
from portability.database import models
from portability.database.engine import open_engine, reading, writing
from portability.requests import acceptance
from portability.requests.policy import Actor
from portability.requests.states import ExportState

EXPORT = models.export


def contacts(source_url: str) -> dict[str, list[str]]:
    """Ids by tenant."""
    with create_engine(source_url).connect() as connection:
        rows = connection.execute(select(schema.contacts.c.tenant_id, schema.contacts.c.id)).all()
    tenants = Counter(row.tenant_id for row in rows)
    return {tenant: [row.id for row in rows if row.tenant_id == tenant] for tenant, _count in tenants.most_common()}


def ask(running: Deployment, tenant: str, people: list[str], count: int) -> None:
    """Make `count` different requests at the same time."""
    asked = product(people, ("access", "portability"), (["jsonl"], ["csv"], ["jsonl", "csv"]))
    engine = open_engine(running.settings["DATABASE_URL"])
    with writing(engine) as connection:
        for person, profile, formats in islice(asked, count):
            wanted = acceptance.check(profile=profile, subject=f"contact:{person}", tenant=tenant, formats=formats)
            assert acceptance.accept(connection, wanted, actor=Actor("operator", "test"))[1]
    engine.dispose()


@pytest.mark.parametrize(
    ("crowd", "few", "most"),
    [
        (60, 4, 40),
        # To accept ten thousand takes 130 seconds of processor time.
        pytest.param(10_000, 10, 100, marks=[pytest.mark.system, pytest.mark.timeout(1_800)]),
    ],
)
def test_a_few_of_one_tenant_do_not_wait_for_the_crowd_of_another(
    tmp_path: Path, pg_server: servers.Postgres, redis_url: str, crowd: int, few: int, most: int
) -> None:
    """Many small exports are queued, then a few of another tenant: the few are ready before most of the others.

    Sixty and four; in `make test-systems` ten thousand and ten, which are ready before 100 of the others.
    """
    control, platform = pg_server.create_database(), pg_server.create_database()
    settings = {"DATABASE_URL": pg_server.url(control), "SOURCE_URL": pg_server.url(platform)}
    seed(
        settings["SOURCE_URL"],
        None,
        SeedPlan(tenants=2, users=2, contacts=crowd * 36 // 100, calls=10, chats=10, events=10),
    )
    found = contacts(settings["SOURCE_URL"])
    crowded, other = found
    with deployment(tmp_path / "state", workers=0, REDIS_URL=redis_url, **settings) as running:
        ask(running, crowded, found[crowded], crowd)
        ask(running, other, found[other], few)
        engine = open_engine(settings["DATABASE_URL"])
        running.start("worker")
        running.start("worker")

        def ready() -> dict[str, int]:
            query = select(EXPORT.c.tenant, func.count()).where(EXPORT.c.state == ExportState.READY)
            with reading(engine) as connection:
                return dict(tuple(row) for row in connection.execute(query.group_by(EXPORT.c.tenant)))

        until(lambda: ready().get(other, 0) == few, "the few are ready", seconds=300)
        before = ready()[crowded]
        with reading(engine) as connection:
            assert connection.scalar(select(func.count()).select_from(EXPORT)) == crowd + few
    assert 0 < before < most
