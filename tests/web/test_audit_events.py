"""Each event of docs/audit.md is provoked, and only the log is read: action, actor and details are as documented."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import provoked_deliveries
import provoked_inbox
import provoked_pulls
import provoked_requests
import pytest
from factories import MadeUpExporter, things
from postbox import open_postbox
from provoking import Cause, Stage, causes
from repository import ROOT, table
from sending import recorded
from served import serving
from sqlalchemy import Engine
from transferring import EXPORTER

from portability.api import Gap, SubjectKind
from portability.database.engine import reading, writing
from portability.trust import audit, keys

PAGE = ROOT / "docs" / "audit.md"
NAMES = re.compile(r"[a-z_]+")
OPTIONAL = re.compile(r"\((.*?)\)")
DOCUMENTED = {row["event"]: row for row in table(PAGE, "event")}
CAUSES = causes(provoked_requests, provoked_deliveries, provoked_inbox, provoked_pulls)
PEOPLE = {"subject", "tenant_admin", "staff", "officer", "auditor", "operator"}


@pytest.fixture(scope="module")
def stage(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("events")
    kinds = frozenset(SubjectKind)
    gap = {0: [Gap("thing", "missing", retryable=True)]}
    exporters = {
        EXPORTER: MadeUpExporter(things(3), subject_kinds=kinds),
        "chats": MadeUpExporter(things(3), subject_kinds=kinds),
        "crm": MadeUpExporter(things(3), gaps=gap, subject_kinds=kinds),
    }
    chosen: dict[str, Any] = {"approvals": "policy", "allow_fetch": "1", "regimes": "gdpr,data_act"}
    more: dict[str, Any] = {"review_exporters": "chats", "mail_from": "data@vlint.example", "allow_loopback": True}
    with (
        open_postbox() as box,
        serving(folder, redis_server, exporters=exporters, smtp_url=box.url, **chosen, **more) as served,
        recorded(served) as other,
    ):
        with writing(served.world.engine) as connection:
            keys.ensure(connection, served.world.place.settings.keys, actor="operator:test")
        for_commands = {**chosen, "dir": folder, "redis_url": redis_server, "notice_dir": folder / "notice"}
        environment = {f"PORTABILITY_{name.upper()}": str(value) for name, value in for_commands.items()}
        yield Stage(served, other, box, environment, folder)


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.__name__)
def test_what_happens_is_in_the_log_as_documented(stage: Stage, cause: Cause) -> None:
    """A call, a command, a pass of the clock or a step of a worker: its events are on the page, each as it is there."""
    before = stage.head()
    elsewhere = cause(stage)
    found = log_of(elsewhere.engine) if elsewhere else log_of(stage.world.engine, before)
    assert set(CAUSES[cause]) <= {event["action"] for event in found}
    for event in found:
        check(event)


def log_of(engine: Engine, after: int = 0) -> Sequence[Mapping[Any, Any]]:
    """Return the events of a log; nothing else is read."""
    with reading(engine) as connection:
        return audit.events(connection, after=after)


def check(event: Mapping[Any, Any]) -> None:
    """Compare an event with the page."""
    row = DOCUMENTED[event["action"]]
    role, details = event["actor"].partition(":")[0], set(event["detail"])
    sometimes = {name for part in OPTIONAL.findall(row["details"]) for name in NAMES.findall(part)}
    always = set(NAMES.findall(row["details"])) - sometimes
    assert role in {each for by in row["by"].split(", ") for each in (PEOPLE if by == "person" else {by})}, event
    assert always <= details <= always | sometimes | {"issuer", "lost_id"}, event
    # Tests act as an operator without an issuer; everyone else on this stage has one.
    assert ("issuer" in details) == (role in PEOPLE and event["actor"] != "operator:test"), event


def test_each_documented_event_is_provoked() -> None:
    """An action of the page without a cause fails, and so does an action that is in one of its two tables only."""
    provoked = [action for actions in CAUSES.values() for action in actions]
    listed = {name for row in table(PAGE, "action") for name in re.findall(r"[a-z]+\.[a-z_]+", row["action"])}
    assert set(provoked) == set(DOCUMENTED) == listed
    assert len(DOCUMENTED) > 70
