from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factories import World
from going_back import journal_of
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Boolean, Engine, Integer, String, Table, delete, func, insert, literal, select, text, update

from portability import metrics
from portability.database import history, incidents, models
from portability.database.engine import UtcTime, now, reading, writing
from portability.database.incidents import Incident
from portability.law import deadlines
from portability.law.deadlines import Alarm
from portability.law.profiles import Profile
from portability.requests.states import ExportState
from portability.signals import history_counts, unanswered
from portability.signals.time_to_ready import BUCKETS_SECONDS, WINDOW_SECONDS

EXPORT, VOLUME, GAP = models.export, models.volume, models.gap
PLAIN_COUNTS_MAX = 40
WAITING = ["review", "queued", "running", "closing", "failed"]
"""States of a request that has no answer; a fault of the service does not answer it."""
ENDED = [state for state in ExportState if state not in WAITING]
DAY = timedelta(days=1)

Labels = frozenset[tuple[str, str]]


def a_row(table: Table, **values: object) -> dict[str, Any]:
    """A row of the table: what is not given and cannot be NULL is nothing in particular."""
    needed = (c for c in table.c if not c.nullable and not (c.primary_key and isinstance(c.type, Integer)))
    return {column.name: _nothing(column.type) for column in needed} | values


def _nothing(kind: object) -> object:
    if isinstance(kind, UtcTime):
        return datetime.now(UTC)
    if isinstance(kind, Boolean):
        return False
    return 0 if isinstance(kind, Integer) else "-" if isinstance(kind, String) else []


def some_exports(count: int, *, seed: int = 1) -> list[dict[str, Any]]:
    """Exports of all states and profiles, received in the last three weeks, a third past their due date."""
    chance = random.Random(seed)
    now = datetime.now(UTC)
    rows = []
    for number in range(count):
        state, profile = chance.choice(list(ExportState)), chance.choice(list(Profile))
        received_at = now - timedelta(seconds=chance.uniform(1000, 21 * 86400))
        # Never within a minute of a bound that the test and the database would see from two sides.
        took = timedelta(seconds=chance.choice([1, 30, 200, 1000, 3000, 9000, 50_000, 100_000, 200_000, 300_000]))
        ended_at = min(received_at + took, now - timedelta(seconds=100)) if state in ENDED else None
        complete = chance.random() < 0.8 if state == ExportState.READY else None
        due_at = received_at + 14 * DAY
        asked = {"id": f"e{number}", "profile": profile, "received_at": received_at, "due_at": due_at}
        rows.append(a_row(EXPORT, **asked, state=state, complete=complete, ended_at=ended_at))
    return rows


def store(migrated_engine: Engine, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    with writing(migrated_engine) as connection:
        connection.execute(insert(table), rows)


def exposed(migrated_engine: Engine) -> dict[str, dict[Labels, float]]:
    """What a Prometheus reads: by name and labels."""
    values: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(metrics.exposition(metrics.collect(migrated_engine))):
        for sample in family.samples:
            series = values.setdefault(sample.name, {})
            labels = frozenset(sample.labels.items())
            assert labels not in series, f"{sample.name} twice"
            series[labels] = sample.value
    return values


def by(**labels: str) -> Labels:
    return frozenset(labels.items())


def only(migrated_engine: Engine, name: str) -> float:
    (value,) = exposed(migrated_engine)[name].values()
    return value


def test_an_empty_deployment_reports_zeros(migrated_engine: Engine) -> None:
    """Before the first export every metric and every known label is there: an alert never waits for a series."""
    values = exposed(migrated_engine)
    values.pop("portability_last_sweep_age_seconds")  # it begins with the deployment

    assert {value for series in values.values() for value in series.values()} == {0}
    assert len(values["portability_exports"]) == len(ExportState) * len(Profile)
    assert values["portability_incidents_total"].keys() == {by(kind=kind) for kind in Incident}
    assert by(reason="source_unavailable") in values["portability_gaps"]


@pytest.mark.requirement("R14")
def test_exports_are_counted_as_sql_counts_them(migrated_engine: Engine) -> None:
    """Every state and profile, those with gaps, those past their due date: the numbers of a plain query."""
    rows = some_exports(300)
    store(migrated_engine, EXPORT, rows)
    with reading(migrated_engine) as connection:
        counts = connection.execute(text("SELECT state, profile, count(*) FROM export GROUP BY state, profile")).all()
        with_gaps = connection.scalar(text("SELECT count(*) FROM export WHERE state = 'ready' AND NOT complete"))
    values = exposed(migrated_engine)

    assert {labels: n for labels, n in values["portability_exports"].items() if n} == {
        by(state=state, profile=profile): count for state, profile, count in counts
    }
    assert values["portability_exports_with_gaps"] == {by(): with_gaps}
    waiting = [row for row in rows if row["state"] in WAITING]
    rung = Counter(deadlines.alarm(row["received_at"], row["due_at"], datetime.now(UTC)) for row in waiting)
    assert values["portability_exports_overdue"] == {by(): rung[Alarm.MISSED]}
    assert values["portability_exports_alarm"] == {by(alarm=one): rung[one] for one in Alarm if one is not Alarm.NONE}
    assert min(rung.values()) > 10


def test_the_oldest_open_export_is_reported_by_its_age(migrated_engine: Engine) -> None:
    """Seconds since receipt, by the database's clock; a request that was answered does not count."""
    now = datetime.now(UTC)
    ages = {"a": (ExportState.READY, 9000), "b": (ExportState.RUNNING, 5000), "c": (ExportState.QUEUED, 100)}
    store(
        migrated_engine,
        EXPORT,
        [
            a_row(EXPORT, id=i, state=state, received_at=now - timedelta(seconds=age))
            for i, (state, age) in ages.items()
        ],
    )
    assert only(migrated_engine, "portability_oldest_open_export_age_seconds") == pytest.approx(5000, abs=60)

    with writing(migrated_engine) as connection:
        connection.execute(update(EXPORT).values(state=ExportState.EXPIRED))
    assert only(migrated_engine, "portability_oldest_open_export_age_seconds") == 0


@pytest.mark.requirement("R14")
def test_a_failed_request_is_overdue_until_it_is_answered(migrated_engine: Engine) -> None:
    """A fault of the service does not answer the request: its age, its alarm and its due date count as before."""
    now = datetime.now(UTC)
    times = {"received_at": now - timedelta(days=40), "due_at": now - timedelta(days=9), "notice_ends_at": None}
    names = ("portability_exports_overdue", "portability_oldest_open_export_age_seconds")
    seen: dict[str, tuple[float, float]] = {}
    for state in ("failed", "cancelled", "denied"):
        with writing(migrated_engine) as connection:
            connection.execute(delete(EXPORT))
        store(migrated_engine, EXPORT, [a_row(EXPORT, id="a", state=state, erased_at=None, **times)])
        overdue, age = (only(migrated_engine, name) for name in names)
        seen[state] = (overdue, round(age / 86_400))
        assert exposed(migrated_engine)["portability_exports_alarm"][by(alarm="missed")] == overdue
    assert seen == {"failed": (1, 40), "cancelled": (0, 0), "denied": (0, 0)}
    # The first revision was the answer; that the next one had a fault is counted all the same.
    revised = {"state": "running", "revision": 2, "error_code": "source_unavailable", "erased_at": None}
    with writing(migrated_engine) as connection:
        connection.execute(update(EXPORT).values(**revised))
    assert [only(migrated_engine, name) for name in names] == [0, 0]
    assert exposed(migrated_engine)["portability_exports_retried"][by(code="source_unavailable")] == 1
    with writing(migrated_engine) as connection:
        connection.execute(update(EXPORT).values(state="failed", erased_at=now))
    assert only(migrated_engine, "portability_exports_overdue") == 0


def test_an_age_is_never_below_zero(migrated_engine: Engine) -> None:
    """A machine whose clock is ahead of the database's has received an export in the future."""
    store(
        migrated_engine, EXPORT, [a_row(EXPORT, id="a", state=ExportState.QUEUED, received_at=datetime.now(UTC) + DAY)]
    )

    assert only(migrated_engine, "portability_oldest_open_export_age_seconds") == 0


def test_waiting_is_a_histogram_of_a_week(migrated_engine: Engine) -> None:
    """By profile: how many exports were ready within each bound, their sum and number; older exports do not count."""
    rows = some_exports(1000, seed=2)
    store(migrated_engine, EXPORT, rows)
    since = datetime.now(UTC) - timedelta(seconds=WINDOW_SECONDS)
    ready = [row for row in rows if row["state"] == ExportState.READY and row["ended_at"] >= since]
    values = exposed(migrated_engine)

    for profile in Profile:
        took = [(r["ended_at"] - r["received_at"]).total_seconds() for r in ready if r["profile"] == profile]
        assert len(took) > 5
        for bound in BUCKETS_SECONDS:
            labels = by(profile=profile, le=str(bound))
            assert values["portability_export_seconds_bucket"][labels] == sum(s <= bound for s in took)
        assert values["portability_export_seconds_bucket"][by(profile=profile, le="+Inf")] == len(took)
        assert values["portability_export_seconds_count"][by(profile=profile)] == len(took)
        assert values["portability_export_seconds_sum"][by(profile=profile)] == pytest.approx(sum(took), abs=0.1)


def test_waiting_is_a_histogram_by_size_too(migrated_engine: Engine) -> None:
    """By the bytes of all stored volumes of an archive. Open uploads and archives of last week do not count."""
    now = datetime.now(UTC)
    sizes = {
        "a": ("10MB", 20, [10_000_000]),
        "b": ("1GB", 200, [10_000_001]),
        "c": ("1GB", 2000, [600_000_000, 400_000_000]),
        "d": ("100GB", 3000, [999_999_999, 2]),
        "e": ("larger", 100_000, [60_000_000_000, 40_000_000_001]),
        "f": ("10MB", 30, []),
    }
    ready = {"state": ExportState.READY, "profile": Profile.ACCESS}
    exports = [
        a_row(EXPORT, id=name, ended_at=now - DAY, received_at=now - DAY - timedelta(seconds=took), **ready)
        for name, (_size, took, _volumes) in sizes.items()
    ]
    exports.append(a_row(EXPORT, id="old", ended_at=now - 8 * DAY, received_at=now - 9 * DAY, **ready))
    exports.append(a_row(EXPORT, id="open", received_at=now, ended_at=None, state=ExportState.RUNNING))
    store(migrated_engine, EXPORT, exports)
    volumes = {(name, number): size for name, (*_, found) in sizes.items() for number, size in enumerate(found)}
    volumes |= {("old", 0): 1, ("open", 0): 1}
    rows = [
        a_row(VOLUME, export_id=name, object_key=f"{name}{number}", bytes=size, state="stored")
        for (name, number), size in volumes.items()
    ]
    store(migrated_engine, VOLUME, [*rows, a_row(VOLUME, export_id="f", object_key="f", bytes=10**12, state="writing")])
    values = exposed(migrated_engine)

    names = ("10MB", "1GB", "100GB", "larger")
    counts = {name: values["portability_ready_seconds_count"][by(size=name)] for name in names}
    assert counts == {"10MB": 2, "1GB": 2, "100GB": 1, "larger": 1}
    buckets = values["portability_ready_seconds_bucket"]
    within = {bound: buckets[by(size="1GB", le=bound)] for bound in ("60.0", "300.0", "1800.0", "3600.0", "+Inf")}
    assert within == {"60.0": 0, "300.0": 1, "1800.0": 1, "3600.0": 2, "+Inf": 2}
    assert values["portability_ready_seconds_sum"][by(size="1GB")] == pytest.approx(2200, abs=0.1)


def test_volumes_and_their_bytes(migrated_engine: Engine) -> None:
    """Open uploads and stored volumes apart; bytes of what storage has confirmed, also beyond 32 bits."""
    store(migrated_engine, EXPORT, [a_row(EXPORT, id="a", state=ExportState.RUNNING)])
    sizes = {"k1": 3_000_000_000, "k2": 2_000_000_000, "k3": 7}
    stored = [a_row(VOLUME, export_id="a", object_key=k, bytes=b, state="stored") for k, b in sizes.items()]
    store(
        migrated_engine, VOLUME, [*stored, a_row(VOLUME, export_id="a", object_key="k4", bytes=None, state="writing")]
    )
    values = exposed(migrated_engine)

    assert values["portability_volumes"] == {by(state="writing"): 1, by(state="stored"): 3}
    assert values["portability_stored_bytes"] == {by(): 5_000_000_007}


def test_gaps_by_reason_and_no_word_of_a_stranger(migrated_engine: Engine) -> None:
    """Known reasons by name; what a plug-in made up is `other`: it may hold a name, and there may be millions."""
    store(migrated_engine, EXPORT, [a_row(EXPORT, id="a", state=ExportState.READY)])
    reasons = ["missing", "missing", "source_refused", "Ada Lovelace called", *(f"made up {n}" for n in range(50))]
    store(migrated_engine, GAP, [a_row(GAP, export_id="a", reason=reason) for reason in reasons])
    gaps = exposed(migrated_engine)["portability_gaps"]

    assert {labels: n for labels, n in gaps.items() if n} == {
        by(reason="missing"): 2,
        by(reason="source_refused"): 1,
        by(reason="other"): 51,
    }


def test_a_state_that_cannot_be_is_counted_without_its_name(migrated_engine: Engine) -> None:
    """A row with a corrupted value is counted in one additional series, for any value."""
    store(migrated_engine, EXPORT, [a_row(EXPORT, id=i, state=f"odd {i}", profile=Profile.ACCESS) for i in ("a", "b")])

    assert exposed(migrated_engine)["portability_exports"][by(state="other", profile="access")] == 2


def test_incidents_are_a_counter(migrated_engine: Engine) -> None:
    """Each kind with its count since the beginning, under the name that Prometheus gives counters."""
    incidents.count(migrated_engine, Incident.SWEPT, 5)
    series = exposed(migrated_engine)["portability_incidents_total"]

    assert series[by(kind="swept")] == 5
    assert sum(series.values()) == 5


def test_no_label_holds_an_id_or_a_tenant(migrated_engine: Engine) -> None:
    """Nothing of a row but its state, profile, reason or kind: the number of series does not grow with the data."""
    before = {name: series.keys() for name, series in exposed(migrated_engine).items()}
    store(migrated_engine, EXPORT, [{**row, "tenant": "acme", "subject_id": "usr_ada"} for row in some_exports(50)])
    store(migrated_engine, VOLUME, [a_row(VOLUME, export_id="e1", object_key="e1/1.zip", state="stored", bytes=1)])
    store(migrated_engine, GAP, [a_row(GAP, export_id="e1", what="calls/call_1", exporter="calls", reason="missing")])

    assert {name: series.keys() for name, series in exposed(migrated_engine).items()} == before


def quickest(act: Callable[[], object]) -> float:
    """Seconds of the quickest of five times: what else the machine does only makes it slower."""
    took = []
    for _ in range(5):
        begin = time.perf_counter()
        act()
        took.append(time.perf_counter() - begin)
    return min(took)


@pytest.mark.parametrize("doublings", [4, pytest.param(7, marks=pytest.mark.system)])
def test_all_exports_are_counted_in_one_go(migrated_engine: Engine, doublings: int) -> None:
    """Volumes and gaps of all of them too: a few times what plain counts of the tables take, a fraction of a second."""
    store(migrated_engine, EXPORT, some_exports(1000))
    with writing(migrated_engine) as connection:
        for step in range(doublings):
            twice = [(column + f"_{step}").label(column.name) if column.name == "id" else column for column in EXPORT.c]
            connection.execute(insert(EXPORT).from_select([c.name for c in EXPORT.c], select(*twice)))
        volume = a_row(VOLUME, state="stored", bytes=1, export_id=EXPORT.c.id, object_key=EXPORT.c.id)
        gap = a_row(GAP, reason="missing", export_id=EXPORT.c.id)
        for table, row in ((VOLUME, volume), (GAP, gap)):
            values = [v if hasattr(v, "type") else literal(v, table.c[name].type) for name, v in row.items()]
            connection.execute(insert(table).from_select(list(row), select(*values).select_from(EXPORT)))
        assert connection.scalar(select(func.count()).select_from(EXPORT)) == 1000 * 2**doublings

    def plainly() -> None:
        with reading(migrated_engine) as connection:
            for table, column in ((EXPORT, "state"), (VOLUME, "state"), (GAP, "reason")):
                connection.execute(select(table.c[column], func.count()).group_by(table.c[column])).all()

    assert sum(exposed(migrated_engine)["portability_exports"].values()) == 1000 * 2**doublings
    whole, plain = quickest(lambda: exposed(migrated_engine)), quickest(plainly)
    assert whole < PLAIN_COUNTS_MAX * plain


def test_notifications_are_counted_and_the_oldest_that_waits_is_reported(migrated_engine: Engine) -> None:
    """Queued, sent and undeliverable messages by kind; only messages that are still to be mailed have an age."""
    long_ago, lately = datetime.now(UTC) - 9 * DAY, datetime.now(UTC) - timedelta(seconds=500)
    notifications = [
        ("queued", "ready", lately),
        ("sent", "ready", long_ago),
        ("sent", "ready", long_ago),
        ("failed", "x", lately),
    ]
    with writing(migrated_engine) as connection:
        connection.execute(insert(EXPORT), some_exports(1))
        export_id = connection.scalar(select(EXPORT.c.id))
        for number, (state, kind, created_at) in enumerate(notifications):
            row = {"id": f"ntf_{number}", "export_id": export_id, "occasion": str(number), "attempts": 0}
            connection.execute(insert(models.notification).values(**row, state=state, kind=kind, created_at=created_at))
    found = {metric.name: metric for metric in metrics.collect(migrated_engine)}
    counts = {tuple(sample.labels.values()): sample.value for sample in found["portability_notifications"].samples}
    (age,) = found["portability_oldest_queued_notification_age_seconds"].samples

    assert {labels: count for labels, count in counts.items() if count} == {
        ("queued", "ready"): 1,
        ("sent", "ready"): 2,
        ("failed", "other"): 1,
    }
    assert 499 < age.value < 560


def test_the_journal_has_figures(made: World) -> None:
    """How late it is, and whether work waits for a reconciliation."""
    made.request()
    with writing(made.engine) as connection:
        history.hold(connection)
    values = exposed(made.engine)
    assert [*values["portability_database_behind"].values()] == [1.0]
    assert 0 < next(iter(values["portability_oldest_unshipped_event_age_seconds"].values())) < 60
    journal_of(made).ship()
    with writing(made.engine) as connection:
        history.settle(connection, history.name(connection))
    values = exposed(made.engine)
    assert [*values["portability_database_behind"].values()] == [0.0]
    assert [*values["portability_oldest_unshipped_event_age_seconds"].values()] == [0.0]


def test_what_has_ended_is_as_a_clock_counted_it_and_what_waits_is_as_it_is(made: World) -> None:
    """A scrape does not read the history; without a count of the last hour it counts itself."""
    made.request("user:usr_1")
    ended = [row for row in some_exports(30) if row["state"] in ENDED]
    store(made.engine, EXPORT, ended)

    def count(state: str) -> float:
        return sum(n for labels, n in exposed(made.engine)["portability_exports"].items() if ("state", state) in labels)

    expired = sum(row["state"] == "expired" for row in ended)
    assert (count("queued"), count("expired")) == (1, expired)
    history_counts.count(made.engine)
    with writing(made.engine) as connection:
        connection.execute(delete(EXPORT).where(EXPORT.c.state == "expired"))
    made.request("user:usr_2")
    assert (count("queued"), count("expired")) == (2, expired)
    with writing(made.engine) as connection:
        connection.execute(update(models.deployment).values(counted_at=now(-history_counts.STALE_SECONDS - 1)))
    assert (count("queued"), count("expired")) == (2, 0)


def test_many_failed_requests_are_as_a_clock_counted_them(
    migrated_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to a thousand a scrape counts itself; of more the figures are the same, and as old as the count."""
    failed = [row | {"state": "failed", "error_code": "object_missing"} for row in some_exports(40)]
    failed[0]["received_at"] -= 30 * DAY
    running = [
        row | {"id": f"r{row['id']}", "state": "running", "error_code": None} for row in some_exports(10, seed=2)
    ]
    store(migrated_engine, EXPORT, [*failed, *running])
    names = ("exports_overdue", "exports_alarm", "exports_failed", "exports_retried")

    def figures() -> dict[str, dict[Labels, float]]:
        values = exposed(migrated_engine)
        return {name: values[f"portability_{name}"] for name in names}

    now_counted = figures()
    assert now_counted["exports_failed"][by(code="object_missing")] == 40
    unanswered.count(migrated_engine)
    age_seconds = only(migrated_engine, "portability_oldest_open_export_age_seconds")
    with writing(migrated_engine) as connection:
        connection.execute(delete(EXPORT).where(EXPORT.c.state == "failed"))
    assert figures()["exports_failed"] == {by(code="other"): 0}
    monkeypatch.setattr(unanswered, "FEW", 39)
    assert figures() == now_counted
    with writing(migrated_engine) as connection:
        connection.execute(update(models.deployment).values(failed_counted_at=now(-3_000)))
    later = only(migrated_engine, "portability_oldest_open_export_age_seconds")
    assert later == pytest.approx(age_seconds + 3_000, abs=60)
    with writing(migrated_engine) as connection:
        connection.execute(update(models.deployment).values(failed_counted_at=now(-3_601)))
    assert figures()["exports_failed"] == {by(code="other"): 0}
