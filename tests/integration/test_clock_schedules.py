from __future__ import annotations

from pathlib import Path

import platform_data as platform
from factories import world
from sqlalchemy import select, update
from workers import Deployment, until

from exporters.reference import schema
from portability.database import models
from portability.database.engine import now, open_engine, reading, writing
from portability.requests import acceptance, exports
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Actor
from portability.schedules import intake

SCHEDULE, EXPORT = models.schedule, models.export
CLOSED, OPEN = "usr_1", "usr_2"


def test_a_clock_requests_scheduled_copies(tmp_path: Path, redis_url: str) -> None:
    """The process of the Procfile; the platform's directory says whose account is closed."""
    source_url = f"sqlite:///{tmp_path / 'platform.db'}"
    source = open_engine(source_url)
    platform.fill(source)
    with source.begin() as connection:
        connection.execute(update(schema.users).where(schema.users.c.id == OPEN).values(closed_at=None))
    source.dispose()
    made = world(tmp_path, {}).with_all_keys()
    with writing(made.engine) as connection:
        for person in (CLOSED, OPEN):
            wanted = acceptance.check(profile="access", subject=f"user:{person}")
            actor = Actor("subject", person)
            first, _ = intake.begin(connection, made.place.settings, wanted, actor=actor, auth=PRESENT)
            exports.cancel(connection, first, actor=f"subject:{person}")
        connection.execute(update(SCHEDULE).values(next_at=now()))

    def found() -> set[tuple[str, str | None, str]]:
        last = SCHEDULE.join(EXPORT, EXPORT.c.id == SCHEDULE.c.export_id)
        query = select(SCHEDULE.c.subject_id, SCHEDULE.c.end_reason, EXPORT.c.channel).select_from(last)
        with reading(made.engine) as connection:
            return {(row.subject_id, row.end_reason, row.channel) for row in connection.execute(query)}

    deployed = Deployment(tmp_path, {"REDIS_URL": redis_url, "SOURCE_URL": source_url})
    deployed.start("clock")
    try:
        done = {(CLOSED, "account_closed", "cli"), (OPEN, None, "schedule")}
        until(lambda: found() == done, "a copy is requested, and a schedule has ended")
    finally:
        deployed.stop()
