"""The process of the receiving service is killed by SIGKILL at its worst moments; the next process continues."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import forks
import pytest
from forks import run_fork
from inboxes import HERE, Inbox, inboxes
from sqlalchemy import create_engine, func, insert, select
from workers import until

from exporters.reference import schema
from portability.database import models
from portability.database.engine import reading
from receiver.importer.faults import NotImportable
from receiver.inbox import service, steps
from receiver.ledger import runs, tables
from worker.clock import erasure

OTHER = "usr_other"
KILLED_AT = """
import os, signal, sys
from cli.context import Context
from cli.receiving_service import service_of
from portability.settings import load_settings
from receiver.fetch import papers
from receiver.inbox import service, steps
from receiver.ledger.journal import RowJournal

def killed(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)

place, name = {
    "fetched": (papers, "keep_proof"),
    "verified": (steps, "_described"),
    "in a batch": (RowJournal, "add"),
    "imported": (steps, "transition"),
    "receipted": (steps.work, "settle_receipt"),
    "undone": (steps, "_end"),
}[sys.argv[1]]
setattr(place, name, killed)
service.advance(service_of(Context(load_settings, json=False)))
"""

STOPPED_AT = """
import os, signal, sys
from cli.context import Context
from cli.receiving_service import service_of
from portability.settings import load_settings
from receiver.inbox import service, steps

whole = getattr(steps, sys.argv[1])

def stopped(*arguments, **named):
    os.kill(os.getpid(), signal.SIGSTOP)
    return whole(*arguments, **named)

setattr(steps, sys.argv[1], stopped)
service.advance(service_of(Context(load_settings, json=False)))
"""


@pytest.fixture(scope="module")
def both(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inbox]:
    """A lease of one second: the next process does not wait for long."""
    with inboxes(tmp_path_factory.mktemp("killed"), redis_server, lease_seconds=1) as made:
        yield made


def killed(both: Inbox, at: str) -> None:
    """A process that takes the next step and is killed within it."""
    environment = {**os.environ, **both.environment}
    ended = run_fork([at], environment, seconds=60, code=KILLED_AT)
    assert ended.returncode == -signal.SIGKILL


def continued(both: Inbox, identifier: str, state: str) -> None:
    """The next process waits for the lease of the killed process, and continues."""
    until(lambda: both.work() > 0 and both.shown(identifier)["state"] == state, f"it is {state}")


@pytest.mark.parametrize("at", ["fetched", "verified"])
def test_a_fetch_that_is_killed_continues(both: Inbox, at: str) -> None:
    """What was downloaded is not downloaded again."""
    sent_id, identifier = both.offered()

    killed(both, at)
    assert both.row(identifier)["state"] == "offered"
    continued(both, identifier, "fetched")

    claim, link = models.link_claim, models.link
    with reading(both.sender.world.engine) as connection:
        of_link = select(func.count()).select_from(claim.join(link, link.c.id == claim.c.link_id))
        assert connection.scalar(of_link.where(link.c.transfer_id == sent_id)) == 1
    both.call("refuse", identifier, reason="other")
    both.work()


@pytest.mark.parametrize("decision", ["imported", "refused"])
def test_a_receipt_whose_process_is_killed_is_one_receipt(both: Inbox, decision: str) -> None:
    """The sender has taken it, and this side has not noted it: the next process sends the same receipt."""
    sent_id, identifier = both.compared() if decision == "imported" else both.offered()
    both.work()
    if decision == "imported":
        both.call("import", identifier, comparison=both.shown(identifier)["comparison"])
        assert service.advance(both.service)
    else:
        both.call("refuse", identifier, reason="other")

    killed(both, "receipted")
    assert both.row(identifier)["receipt"] == "queued"
    until(lambda: both.work() > 0 and both.row(identifier)["receipt"] == "sent", "it is sent")

    table = models.transfer_receipt
    with reading(both.sender.world.engine) as connection:
        receipts = connection.scalars(select(table.c.status).where(table.c.transfer_id == sent_id)).all()
    assert receipts == [{"imported": "received", "refused": "refused"}[decision]]


def test_a_receipt_whose_import_is_undone_before_it_is_noted_is_one_receipt(both: Inbox) -> None:
    """The sender has taken it, and an officer undoes the import before it is sent again."""
    sent_id, identifier = both.decided()
    assert service.advance(both.service)
    killed(both, "receipted")
    both.call("undo", identifier)
    until(lambda: both.work() > 0 and both.row(identifier)["receipt"] == "sent", "it is sent")

    table = models.transfer_receipt
    with reading(both.sender.world.engine) as connection:
        assert connection.scalars(select(table.c.status).where(table.c.transfer_id == sent_id)).all() == ["received"]


@pytest.mark.parametrize("at", ["in a batch", "imported"])
def test_an_import_that_is_killed_is_one_import(both: Inbox, at: str) -> None:
    """Also if only its end was not recorded: undoing it restores what was here before."""
    _, identifier = both.decided(on_conflict="take")

    killed(both, at)
    assert both.row(identifier)["state"] == "importing"
    continued(both, identifier, "imported")
    assert both.account()["full_name"] == "Ann There"

    both.call("undo", identifier)
    both.work()
    assert both.account()["full_name"] == "Ann Here"


def test_an_undo_that_is_killed_has_its_report(both: Inbox) -> None:
    """The import is forgotten by then: what was undone cannot be counted again."""
    _, identifier = both.imported(on_conflict="take")
    both.call("undo", identifier)

    killed(both, "undone")
    assert both.row(identifier)["state"] == "undoing"
    continued(both, identifier, "undone")
    assert both.shown(identifier)["undone"]["restored"] == 1


@contextmanager
def stopped(both: Inbox, at: str) -> Iterator[None]:
    """A process that takes the next step, is stopped within it for the length of the block, and then continues."""
    with tempfile.TemporaryFile() as output:
        process = forks.start([at], {**os.environ, **both.environment}, output, code=STOPPED_AT)
        try:
            status = Path("/proc", str(process.pid), "stat")
            until(lambda: status.read_text().rpartition(")")[2].split()[0] == "T", "it is stopped")
            yield
            process.send_signal(signal.SIGCONT)
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_an_import_that_another_process_has_made_is_not_undone(both: Inbox) -> None:
    """A process was stopped before its import: when it continues, the files of the other's import are deleted."""
    _, identifier = both.decided(on_conflict="take")

    with stopped(both, "_imported"):
        continued(both, identifier, "imported")

    assert both.shown(identifier)["state"] == "imported"
    assert both.account()["full_name"] == "Ann There"
    both.call("undo", identifier)
    both.work()
    assert both.account()["full_name"] == "Ann Here"


@pytest.mark.parametrize("at", ["_imported", "_check_claim"])
def test_an_import_whose_target_was_changed_meanwhile_writes_nothing(
    both: Inbox, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """A process was stopped before its first batch; another could not import it, and an officer chose anew."""
    both.set_name("Ann Here")
    known_here(both, OTHER)
    _, identifier = both.decided(on_conflict="take")

    with stopped(both, at):
        with monkeypatch.context() as once:
            once.setattr(steps, "_imported", not_importable)
            continued(both, identifier, "fetched")
        both.call("target", identifier, subject=f"user:{OTHER}", on_conflict="take")
        continued(both, identifier, "compared")

    assert both.account()["full_name"] == "Ann Here"
    assert (both.shown(identifier)["state"], runs_here(both)) == ("compared", [])
    both.call("import", identifier, comparison=both.shown(identifier)["comparison"])
    continued(both, identifier, "imported")
    assert [both.account(one)["full_name"] for one in (HERE, OTHER)] == ["Ann Here", "Ann There"]
    both.call("undo", identifier)
    both.work()


@pytest.mark.parametrize("at", ["_imported", "_check_claim", "in a batch", "before"])
def test_an_import_whose_person_is_erased_meanwhile_leaves_no_trace(both: Inbox, at: str) -> None:
    """A process was stopped before its first batch, killed in it, or waits: no run, journal, message or file is left.

    The clock may have to wait for storage before it ends the erasure.
    """
    both.set_name("Ann Here")
    _, identifier = both.decided(on_conflict="take")
    erase = ("erase", "--subject", f"user:{HERE}", "--reason", "ticket 17", "--ground", "subject")
    environment = {**os.environ, **both.environment}
    away = {**environment, "PORTABILITY_STORAGE_URL": "file:///proc/away"}
    if at == "before":
        begun = run_fork(erase, away, seconds=60)
        assert (begun.returncode, "is begun" in begun.stdout) == (0, True)
        both.work()
        erasure.advance(both.receiver.world.engine, lambda: both.receiver.world.place.storage)
    elif at == "in a batch":
        killed(both, at)
        assert run_fork(erase, environment, seconds=60).returncode == 0
    else:
        with stopped(both, at):
            assert run_fork(erase, environment, seconds=60).returncode == 0
    both.work()
    service.tidy(both.service)

    assert identifier not in {row["id"] for row in both.listed()}
    assert not (both.service.quarantine / identifier).exists()
    assert both.account()["full_name"] == "Ann Here"
    engine = create_engine(both.service.into)
    with tables.placed(engine).begin() as connection:
        assert [run.target for run in runs.listed(connection) if run.target == f"user:{HERE}"] == []
        known = connection.scalars(select(tables.KEY.c.target)).all() if tables.exist(connection) else []
        assert f"user:{HERE}" not in known
    engine.dispose()
    with reading(both.receiver.world.engine) as connection:
        message = models.notification.c
        assert connection.scalars(select(message.id).where(message.occasion == identifier)).all() == []


def not_importable(*_arguments: object, **_options: object) -> None:
    raise NotImportable("for a moment")


def runs_here(both: Inbox) -> list[str]:
    """The imports that have not ended, in the platform's database."""
    engine = create_engine(both.service.into)
    with tables.placed(engine).begin() as connection:
        found = [run.id for run in runs.listed(connection) if run.state == runs.RUNNING]
    engine.dispose()
    return found


def known_here(both: Inbox, identifier: str) -> None:
    """Another account at the receiving platform."""
    engine = create_engine(both.service.into)
    own = {
        "id": identifier,
        "full_name": "Ann Two",
        "email": f"{identifier}@here.example",
        "created_at": datetime.now(UTC),
    }
    with engine.begin() as connection:
        if not connection.scalar(select(schema.users.c.id).where(schema.users.c.id == identifier)):
            connection.execute(insert(schema.users), {**own, "mfa_enabled": True, "legal_hold": False})
    engine.dispose()
