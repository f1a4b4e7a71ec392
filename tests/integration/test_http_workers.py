"""Real workers that read a source with an HTTP interface: killed in the middle of paging, and bound to one rate."""

from __future__ import annotations

import base64
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, records
from factories import described
from http_sources import Asked, StandIn, stand_in
from sqlalchemy import select
from workers import Deployment, deployment, family, has_killed, until

from portability.database import models
from portability.database.engine import open_engine, reading
from portability.law import notice

MAP = """
title = "Desk"
role = "controller"
kinds = ["email"]

[[identity]]
from = "email"
get = "/users"
params = { email = "{email}" }
items = "items"
verify = { "email" = "email" }
gives = "desk_user"

[[dataset]]
name = "tickets"
title = "Tickets"
description = "Tickets that you sent."
provenance = "provided"
for_each = "desk_user"
get = "/users/{desk_user}/tickets"
params = { cursor = "{after}" }
items = "items"
verify = { "owner" = "desk_user" }
page = { kind = "cursor", next = "next" }
[dataset.fields]
id = { text = "Identifier." }

[[dataset]]
name = "messages"
title = "Messages"
description = "Messages of your tickets."
provenance = "provided"
parent = "tickets"
get = "/tickets/{tickets.id}/messages"
params = { page = "{after}" }
items = "items"
page = { kind = "number", more = "more" }
[dataset.fields]
id = { text = "Identifier." }
text = { text = "Text." }
"""
USERS, TICKETS, MESSAGES = 4, 40, 5
RATE, WORKERS = 30, 4
KILLS = 3


class WorkersDesk:
    """A desk of some users; each call is noted with its time."""

    def __init__(self, server: StandIn) -> None:
        self.times: list[float] = []
        self.paths: list[str] = []
        self._lock = threading.Lock()
        server.before = self._note
        server.on("/users")(self.user)
        server.on("/users/*")(self.tickets)
        server.on("/tickets/*")(self.messages)

    def _note(self, asked: Asked) -> None:
        with self._lock:
            self.times.append(time.monotonic())
            self.paths.append(asked.path)

    @staticmethod
    def user(asked: Asked) -> Any:
        email = asked.query["email"]
        name = email.partition("@")[0]
        return {"items": [{"id": name, "email": email}] if name.startswith("user") else []}

    @staticmethod
    def tickets(asked: Asked) -> Any:
        user = asked.path.split("/")[2]
        begin = int(asked.query.get("cursor", "0"))
        items = [{"id": f"{user}-{n}", "owner": user} for n in range(begin, min(begin + 7, TICKETS))]
        return {"items": items, **({"next": str(begin + 7)} if begin + 7 < TICKETS else {})}

    @staticmethod
    def messages(asked: Asked) -> Any:
        ticket, page = asked.path.split("/")[2], int(asked.query["page"])
        ids = [f"{ticket}-{n}" for n in range(MESSAGES)][3 * (page - 1) : 3 * page]
        return {"items": [{"id": one, "text": text_of(one)} for one in ids], "more": page == 1}


@cache
def text_of(message: str) -> str:
    """A text of 64 KiB that does not compress: thirty of them are a batch, and a volume."""
    return base64.b64encode(random.Random(message).randbytes(48 << 10)).decode()


@contextmanager
def desk_of_workers(folder: Path, redis_url: str, workers: int, rate: int) -> Iterator[tuple[Deployment, WorkersDesk]]:
    """Workers whose only source is a desk; each volume has one batch of messages."""
    (folder / "desk.toml").write_text(MAP)
    with stand_in() as server:
        section = f'[desk]\nkind = "http"\nmap = "desk.toml"\nbase_url = "{server.url}"\nrate = "{rate}/s"\n'
        (folder / "sources.toml").write_text(section)
        register = described(folder / "notice", "desk", "portability")
        for path in notice.BUILT_IN.glob("*.toml"):
            if path.name != "datasets.toml":
                text = path.read_text("utf-8").replace('version = "1.0"\n', "")
                (register / path.name).write_text(re.sub(r'(\[controller\]\nname = )".*"', r'\1"Tests Inc."', text))
        settings = {"SOURCES": str(folder / "sources.toml"), "NOTICE_DIR": str(register), "VOLUME_BYTES": str(1 << 16)}
        settings["LEASE_SECONDS"] = "2"
        with deployment(folder / "state", workers=workers, REDIS_URL=redis_url, ALLOW_FETCH="1", **settings) as running:
            yield running, WorkersDesk(server)


def ask(running: Deployment, user: int) -> str:
    view = running.json("request", "--profile", "access", "--subject", f"email:user{user}@example.test")
    return str(view["id"])


def read_back(running: Deployment, identifier: str, folder: Path) -> tuple[list[str], list[str], Any]:
    """Ids of the tickets and messages of an export's archives, and its closing document."""
    until(lambda: running.json("show", identifier)["state"] == "ready", "the export ends")
    paths = [Path(one) for one in running.json("fetch", identifier, "--to", str(folder))["archives"]]
    tickets = [one["id"] for one in records(paths, "desk", "tickets")]
    messages = records(paths, "desk", "messages")
    assert all(one["text"] == text_of(one["id"]) for one in messages)
    return tickets, [one["id"] for one in messages], export_json(paths)


@pytest.mark.system
def test_a_worker_that_is_killed_while_paging_loses_and_doubles_nothing(tmp_path: Path, redis_url: str) -> None:
    """Kill -9 of the child process in the middle of a batch: another continues there, and the archive is complete."""
    with desk_of_workers(tmp_path, redis_url, workers=2, rate=20) as (running, desk):
        identifier = ask(running, 1)
        engine = open_engine(f"sqlite:///{running.folder}/portability.sqlite")

        def owner() -> int:
            with reading(engine) as connection:
                named = connection.scalar(select(models.slice.c.owner).where(models.slice.c.owner.is_not(None)))
            return int(named.rsplit(":", 1)[1]) if named else 0

        def has_killed_a_reader(begun: int) -> bool:
            return len(desk.paths) > begun + 16 and (pid := owner()) in family(running) and has_killed(pid)

        for _ in range(KILLS):
            until(partial(has_killed_a_reader, len(desk.paths)), "a child is killed while it reads")
        tickets, messages, document = read_back(running, identifier, tmp_path / "out")

    assert tickets == [f"user1-{n}" for n in range(TICKETS)]
    assert messages == [f"user1-{n}-{m}" for n in range(TICKETS) for m in range(MESSAGES)]
    assert document["complete"] is True


@pytest.mark.system
def test_four_workers_keep_one_rate(tmp_path: Path, redis_url: str) -> None:
    """Four exports at a time, by four workers: no second has more calls than the rate, and the rate is used."""
    with desk_of_workers(tmp_path, redis_url, workers=WORKERS, rate=RATE) as (running, desk):
        identifiers = [ask(running, user) for user in range(1, USERS + 1)]
        for user, identifier in enumerate(identifiers, start=1):
            tickets, messages, document = read_back(running, identifier, tmp_path / f"out{user}")
            assert (len(tickets), len(set(messages))) == (TICKETS, TICKETS * MESSAGES)
            assert document["complete"] is True
    windows = [sum(begin <= at < begin + 1.0 for at in desk.times) for begin in desk.times]
    # A call is counted when it is allowed, and noted when it arrives: each worker may have one on the way.
    assert max(windows) <= RATE + WORKERS
    assert len(desk.times) >= USERS * (TICKETS * 2 + 2 * 6 + 1)
    busy = [later - earlier for earlier, later in pairwise(sorted(desk.times))]
    assert sorted(busy)[len(busy) // 2] < 3 / RATE
