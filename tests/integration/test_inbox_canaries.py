"""Values of a person that one provider sends to another: only the target shows them."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import forks
import httpx
import pytest
import redis
from inboxes import HERE, Inbox, inboxes, profile
from marked import MARK, found_in, joined
from marked_run import contents, redis_values
from served import Served
from sqlalchemy import create_engine
from workers import until

from portability.database import models
from portability.database.engine import reading

SENT = {"full_name": f"{MARK} There", "email": f"{MARK}@there.example", "job_title": MARK}
REFUSING = "CREATE TRIGGER refusing BEFORE UPDATE ON users BEGIN SELECT RAISE({kind}, '{mark} is not here'); END"
OTHER_SECRET = "whsec_" + "A" * 32


@pytest.fixture
def marked_inbox(redis_server: str, tmp_path: Path) -> Iterator[Inbox]:
    with inboxes(tmp_path, redis_server, clock_seconds=0.2) as made:
        made.records[:] = [profile(**SENT)]
        yield made


@contextmanager
def running_service(both: Inbox, log: Path) -> Iterator[None]:
    """`portability inbox run` as a process, with its own logs."""
    settings = {"PORTABILITY_BACKOFF_SECONDS": "0", "PORTABILITY_CLOCK_SECONDS": "0.2"}
    with log.open("ab") as output:
        process = forks.start(["inbox", "run"], {**os.environ, **both.environment, **settings}, output)
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(60)


def in_state(both: Inbox, identifier: str, state: str, code: str | None = None) -> None:
    def is_so() -> bool:
        shown = both.shown(identifier)
        return (shown["state"], shown["error_code"]) == (state, code)

    until(is_so, f"it is {state}")


def fetched(both: Inbox) -> str:
    """A transfer that the service has fetched, with the account that takes its values."""
    _, identifier = both.offered()
    in_state(both, identifier, "fetched")
    both.call("target", identifier, subject=f"user:{HERE}", on_conflict="take")
    return identifier


def begin_import(both: Inbox, identifier: str) -> None:
    in_state(both, identifier, "compared")
    both.call("import", identifier, comparison=both.shown(identifier)["comparison"])


def send_faulty_webhooks(both: Inbox) -> list[int]:
    """With a mark in each part; returns the statuses."""
    offer = {
        "transfer": MARK,
        "issuer": both.sender.world.place.settings.iss,
        "url": f"https://{MARK}.invalid/d/{MARK}",
        "expires_at": "2099-01-01T00:00:00Z",
    }
    posted = [
        both.webhook({**offer, "issuer": f"https://{MARK}.invalid"}, id="msg_a"),
        both.webhook({**offer, "expires_at": MARK}, id="msg_b"),
        both.webhook({MARK: MARK}, id="msg_c"),
        both.webhook(offer, kind=MARK, id="msg_d"),
        both.webhook(offer, id=MARK, secret=OTHER_SECRET),
        {"headers": {"Content-Type": "application/json", "User-Agent": MARK}, "content": f'{{"{MARK}": "{MARK}'},
    ]
    url = f"{both.receiver.url}/v1/inbox"
    return [httpx.post(url, timeout=30, **each).status_code for each in posted]


def control_values(served: Served) -> bytes:
    """All values of a control database."""
    with reading(served.world.engine) as connection:
        return joined(
            tuple(row) for table in models.metadata.sorted_tables for row in connection.execute(table.select())
        )


def alter_target(both: Inbox, *statements: str) -> None:
    """Alter the target."""
    engine = create_engine(both.service.into)
    with engine.begin() as connection:
        for each in statements:
            connection.exec_driver_sql(each)
    engine.dispose()


def walk_through_faults(both: Inbox) -> list[str]:
    """The target refuses the record of one transfer and fails at the next, which is undone; the last is declined."""
    refused = fetched(both)
    in_state(both, refused, "compared")
    alter_target(both, REFUSING.format(kind="ABORT", mark=MARK))
    begin_import(both, refused)
    in_state(both, refused, "imported")
    alter_target(both, "DROP TRIGGER refusing", REFUSING.format(kind="ROLLBACK", mark=MARK))
    undone = fetched(both)
    in_state(both, undone, "comparing", "bad_target")
    alter_target(both, "DROP TRIGGER refusing")
    begin_import(both, undone)
    in_state(both, undone, "imported")
    assert both.account()["full_name"] == SENT["full_name"]
    both.call("undo", undone)
    in_state(both, undone, "undone")
    last = fetched(both)
    in_state(both, last, "compared")
    assert found_in(joined(contents(both.service.quarantine)))
    both.call("refuse", last, reason="other")
    in_state(both, last, "declined")
    until(lambda: not list(both.service.quarantine.iterdir()), "the quarantine is empty")
    return [refused, undone, last]


@pytest.mark.timeout(300)
def test_no_value_of_a_person_is_shown_on_the_way_to_another_provider(
    marked_inbox: Inbox,
    redis_server: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Logs, tables, Redis and names of files repeat nothing of webhooks and faults; the files are deleted."""
    caplog.set_level(logging.DEBUG)
    both, log = marked_inbox, tmp_path / "inbox.log"

    with running_service(both, log):
        transfers = walk_through_faults(both)
        assert send_faulty_webhooks(both) == [401, 422, 401, 400, 401, 401]
    printed = capfd.readouterr()
    with redis.Redis.from_url(redis_server) as client:
        kept = joined(redis_values(client))
    places = {
        "the log of the service": log.read_bytes(),
        "other logs": joined([caplog.text, printed.out, printed.err]),
        "the sender's tables": control_values(both.sender),
        "the receiver's tables": control_values(both.receiver),
        "Redis": kept,
        "names of files": joined(str(path) for path in tmp_path.rglob("*")),
    }

    assert {place: found for place, content in places.items() if (found := found_in(content))} == {}
    assert b"bad_target" in places["the log of the service"]
    assert all(each.encode() in places["the receiver's tables"] for each in transfers)
    assert all(f"/v1/inbox/{each}".encode() in places["other logs"] for each in transfers)
    assert all(each.encode() in places["the sender's tables"] for each in both.consents)
    assert set(re.findall(rb"exp_[0-9a-z]+", places["the sender's tables"])) <= set(re.findall(rb"exp_[0-9a-z]+", kept))
