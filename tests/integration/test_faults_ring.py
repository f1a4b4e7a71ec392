"""Each fault rings its alert in time: it is made, the metrics are scraped, and Prometheus' own tool judges them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import servers
from alerting import AlertCases, rules, series_of
from chaos import kinds
from chaos.failovers import MOVES
from chaos.stack import FORMS
from factories import MadeUpExporter, World, things, world
from faults import FaultProxy, FaultyStorage
from heartbeats import WORKER, report_processes
from repository import ROOT, table
from sqlalchemy import text

from portability.api.errors import SourceRefused, StorageFull
from portability.api.storages import StorageSpace
from portability.database import history, incidents
from portability.database.engine import reading, writing
from portability.database.incidents import Incident
from portability.journal.shipping import Journal
from portability.queue import CLOCK_KEY, WakeUps, connect, open_queue
from portability.signals.services import Services
from portability.storage import open_storage
from portability.storage.local import LocalStorage
from portability.trust import keys, metrics_tokens
from web.measures import Measures
from worker.claim import fenced_writes
from worker.clock import audit_anchor, sweep
from worker.export import advance

PAGE = ROOT / "docs" / "alerts.md"
BEFORE = 5
"""Minutes of health before each fault."""
ROOM = 5
"""Minutes that are judged after the alert is expected."""


@dataclass
class Monitored:
    """A deployment that is scraped; its parts may be replaced or stopped."""

    made: World
    queue: WakeUps
    measures: Measures | None = None

    def scrape(self) -> str:
        """Read the metrics as `GET /metrics` gives them, after a clock has shipped the journal."""
        settings = self.made.place.settings
        if self.measures is None:
            Journal(self.made.engine, lambda: self.made.place.storage, settings.keys, settings.iss).flush()
            services = Services(self.made.engine, lambda: self.queue, lambda: self.made.place.storage)
            self.measures = Measures(self.made.engine, settings.keys, services)
            with reading(self.made.engine) as connection:
                tokens = metrics_tokens.present(connection, settings.keys)
            assert self.measures.accepts([*tokens.values()][-1])
        return self.measures.exposition()

    def healthy(self) -> str:
        scraped = self.scrape()
        self.measures = None
        return scraped


@pytest.fixture(autouse=True)
def _room_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk of the machine that runs the tests may be nearly full, which would ring too."""
    monkeypatch.setattr(LocalStorage, "space", lambda _storage: StorageSpace(5 * 10**11, 10**12))


@pytest.fixture
def monitored(tmp_path: Path, redis_url: str) -> Monitored:
    """A deployment with all keys whose worker and clock have heartbeats, and that has made an export."""
    report_processes(redis_url)
    made = world(tmp_path, {"crm": MadeUpExporter(things(4))}, source_retries=0).with_all_keys()
    made.request("user:usr_0")
    made.advance_all()
    it = Monitored(made, open_queue(connect(redis_url)))
    _mailed(it)
    return it


def _mailed(it: Monitored) -> None:
    """Mark all mail as sent, as a clock with a mail server does."""
    with writing(it.made.engine) as connection:
        connection.execute(text("UPDATE notification SET state = 'sent'"))


def judge(folder: Path, healthy: str, faulty: str, *, name: str, extra: frozenset[str] = frozenset()) -> None:
    """The healthy deployment is silent; after the minutes on the page the alert rings, and only what may with it."""
    (row,) = (row for row in table(PAGE, "fault") if row["fault"] == name)
    minutes, alert = int(row["within"].removesuffix(" min")) - int(row["first seen"].removesuffix(" min")), row["alert"]
    alert = alert.strip("[").partition("]")[0]
    wait = next(rule for rule in rules() if rule["alert"] == alert).get("for", "0m")
    cases = AlertCases()
    ringing = {BEFORE - 1: set[str](), BEFORE + minutes: {alert, *extra}}
    if wait != "0m":
        ringing[BEFORE + minutes - 1] = set(extra)
    cases.expect(name, series_of([(BEFORE, healthy), (minutes + ROOM, faulty)]), ringing)
    cases.check(folder)


def stop_workers(it: Monitored) -> None:
    it.queue.connection.delete(WORKER)


def stop_clock(it: Monitored) -> None:
    it.queue.connection.delete(CLOCK_KEY)


def leave_work(it: Monitored) -> None:
    it.made.request()


def break_storage(it: Monitored) -> None:
    _write_to(it, FaultyStorage(it.made.place.storage, fail_at_begin=1))


def fill_disk(it: Monitored) -> None:
    _write_to(it, FaultyStorage(it.made.place.storage, fail_at_begin=1, error=StorageFull))


def _write_to(it: Monitored, storage: FaultyStorage) -> None:
    """Make one attempt of an export with this storage."""
    it.made.request()
    claim = it.made.claim()
    assert claim
    advance(replace(it.made.place, storage=storage), claim)


def lose_object(it: Monitored) -> None:
    for person in range(1, 5):
        it.made.request(f"user:usr_{person}")
    it.made.advance_all()
    _mailed(it)
    it.made.place.storage.delete(it.made.archive_keys()[0])
    sweep.sweep(it.made.engine, it.made.place.storage, actor="clock")


def refuse_rows(it: Monitored) -> None:
    def refuse(_batch: int) -> None:
        raise SourceRefused("crm/things: permission denied")

    exporter = it.made.place.exporters["crm"]
    assert isinstance(exporter, MadeUpExporter)
    exporter.on_batch = refuse
    it.made.request()
    it.made.advance_all()
    _mailed(it)


def hang_source(it: Monitored) -> None:
    it.made.request()
    claim = it.made.claim(lease_seconds=3600)
    assert claim
    fenced_writes.renew(it.made.engine, claim, 3600, {"waits_for": "crm/things", "code": None})


def kill_horses(it: Monitored) -> None:
    for _ in range(3):
        incidents.count(it.made.engine, Incident.HORSE_DIED)


def lose_commits(it: Monitored) -> None:
    with writing(it.made.engine) as connection:
        history.hold(connection)


def refuse_mail(it: Monitored) -> None:
    with writing(it.made.engine) as connection:
        connection.execute(text("UPDATE notification SET state = 'queued'"))


def defer_mail(it: Monitored) -> None:
    with writing(it.made.engine) as connection:
        connection.execute(text("UPDATE notification SET state = 'queued', reason = 'mail_deferred'"))


def change_log(it: Monitored) -> None:
    place = it.made.place
    seen = audit_anchor.log_head(place.engine, place.settings.keys, place.settings.iss, None)
    leave_work(it)
    with writing(place.engine) as connection:
        connection.execute(text("DROP TRIGGER audit_event_append_only_update"))
        connection.execute(text("UPDATE audit_event SET actor = 'clock' WHERE id = (SELECT max(id) FROM audit_event)"))
    audit_anchor.log_head(place.engine, place.settings.keys, place.settings.iss, seen)


def revoke_key(it: Monitored) -> None:
    with writing(it.made.engine) as connection:
        (kid,) = (row["kid"] for row in keys.listed(connection, "audit"))
        keys.revoke(connection, kid, actor="operator:test")


def lose_key_file(it: Monitored) -> None:
    (pem,) = it.made.place.settings.keys.glob("transfer-*.pem")
    pem.unlink()


FAULTS: Mapping[str, tuple[Callable[[Monitored], None], frozenset[str]]] = {
    "all workers are gone": (stop_workers, frozenset()),
    "all clocks are gone": (stop_clock, frozenset()),
    "workers run and take nothing": (leave_work, frozenset()),
    "storage fails in exports": (break_storage, frozenset()),
    "no space in storage": (fill_disk, frozenset()),
    "storage loses an object": (lose_object, frozenset({"ExportsFail"})),
    "a source refuses": (refuse_rows, frozenset()),
    "a source hangs": (hang_source, frozenset()),
    "workers' processes are killed": (kill_horses, frozenset()),
    "a failover loses commits": (lose_commits, frozenset()),
    "no mail server": (refuse_mail, frozenset()),
    "a mailbox is full": (defer_mail, frozenset()),
    "the audit log is changed": (change_log, frozenset()),
    "a key is revoked and not replaced": (revoke_key, frozenset({"JournalLate"})),
    "a key's file is missing": (lose_key_file, frozenset()),
}
"""By its name in docs/alerts.md: what makes the fault, and which alerts ring with it."""
SERVICES = ("no Redis", "no database", "no storage")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_rings_its_alert(monitored: Monitored, tmp_path: Path, name: str) -> None:
    """Within the minutes that docs/alerts.md states, and nothing else; before, the deployment was silent."""
    healthy = monitored.healthy()
    make, extra = FAULTS[name]
    make(monitored)
    judge(tmp_path, healthy, monitored.scrape(), name=name, extra=extra)


def test_no_redis_rings(monitored: Monitored, tmp_path: Path) -> None:
    """A server that ends; the other figures are still there."""
    healthy = monitored.healthy()
    with servers.valkey() as redis:
        monitored.queue = open_queue(connect(redis.url))
        redis.process.stop()
        judge(tmp_path, healthy, monitored.scrape(), name="no Redis")


def test_no_storage_rings(monitored: Monitored, s3: servers.S3Server, tmp_path: Path) -> None:
    """A bucket behind a network that breaks."""
    healthy = monitored.healthy()
    with FaultProxy(s3.port, refuse=True) as broken:
        url = s3.url("away").replace(str(s3.port), str(broken.port))
        services = Services(monitored.made.engine, lambda: monitored.queue, lambda: open_storage(url))
        monitored.measures = Measures(monitored.made.engine, monitored.made.place.settings.keys, services)
        judge(tmp_path, healthy, monitored.scrape(), name="no storage")


@pytest.fixture
def own_database() -> Iterator[servers.Postgres]:
    with servers.postgres() as server:
        yield server


def test_no_database_rings(own_database: servers.Postgres, redis_url: str, tmp_path: Path) -> None:
    """The server ends; the web process still knows the token, and reports what it sees."""
    report_processes(redis_url)
    url = own_database.url(own_database.create_database())
    made = world(tmp_path, {"crm": MadeUpExporter(things(4))}, database_url=url).with_all_keys()
    it = Monitored(made, open_queue(connect(redis_url)))
    healthy = it.scrape()
    own_database.process.stop()
    made.engine.dispose()
    judge(tmp_path, healthy, it.scrape(), name="no database")


def test_the_page_lists_the_faults() -> None:
    """docs/alerts.md has each fault that is made here, and each kind of chaos: by its alert, or as one that heals."""
    rows = [row["fault"] for row in table(PAGE, "fault")]
    assert sorted(rows) == sorted([*FAULTS, *SERVICES])
    chaos = {*MOVES, *(kind for form in FORMS for kind in kinds.kinds(form, has_disk=True))}
    assert {kind for kind in chaos if f"`{kind}`" not in PAGE.read_text()} == set()
