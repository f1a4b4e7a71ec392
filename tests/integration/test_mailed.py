"""A real clock that mails, killed as the kernel does it."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest
from factories import MadeUpExporter, World, things, world
from postbox import TAKEN, open_postbox
from sqlalchemy import select, update
from strange_directory import install_directory
from workers import Deployment, kill, until

from portability.database import models
from portability.database.engine import now, reading, writing

TABLE = models.notification
MAILS = 4


def unsent(made: World) -> int:
    with reading(made.engine) as connection:
        return len(connection.execute(select(TABLE.c.id).where(TABLE.c.state != "sent")).all())


class Holding:
    """Answers every other mail late: it is kept, and the server has not said so yet."""

    def __init__(self) -> None:
        self.holds, self.goes_on = threading.Event(), threading.Event()

    def __call__(self, number: int) -> str:
        if number % 2 == 0:
            self.holds.set()
            assert self.goes_on.wait(60)
            self.goes_on.clear()
        return TAKEN


def test_a_clock_that_is_killed_again_and_again_mails_everything(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill -9 while the server holds its 250, and at seeded moments after a mail was kept: never none."""
    made = world(tmp_path / "state", {"made": MadeUpExporter(things(10))})
    for number in range(MAILS // 2):
        made.request(f"user:usr_{number}")
    made.advance_all()
    install_directory(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
    chance, kills, held = random.Random(5), 0, Holding()
    with open_postbox() as box:
        box.on_data = held
        settings = {"REDIS_URL": redis_url, "CLOCK_SECONDS": "0.1", "BACKOFF_SECONDS": "0", "DIRECTORY": "strange"}
        deployed = Deployment(made.folder, {**settings, "SMTP_URL": box.url, "MAIL_FROM": "data@vlint.example"})
        while unsent(made):
            assert kills < 10 * MAILS
            process = deployed.start("clock")
            until(lambda: held.holds.is_set() or not unsent(made), "the server delays a mail")
            if chance.random() < 0.5:  # let it hear the 250, and continue for some milliseconds
                held.goes_on.set()
                threading.Event().wait(chance.random() / 20)
            kill(process.pid)
            process.wait(30)
            kills += 1
            held.holds.clear()
            held.goes_on.set()
            with writing(made.engine) as connection:  # as if the lease had run out
                connection.execute(update(TABLE).where(TABLE.c.state == "queued").values(lease_until=now(-1)))
        with reading(made.engine) as connection:
            wanted = {f"<{identifier}@vlint.example>" for identifier in connection.scalars(select(TABLE.c.id))}

    assert len(wanted) == MAILS
    assert set(box.ids) == wanted
    assert kills > 2
    assert all("Halo" in str(message.get_body(("plain",))) for message in box.taken)
