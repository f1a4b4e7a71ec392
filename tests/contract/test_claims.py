from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from claiming import claim_next
from factories import World
from simultaneous import in_processes, in_threads
from sqlalchemy import Connection, RowMapping, text, update

from portability.api import Slice
from portability.api.errors import StorageUnavailable
from portability.database import incidents, models
from portability.database.engine import now, open_engine, reading, writing
from portability.errors import LeaseLost
from portability.requests import acceptance, exports, slices
from portability.requests.forms import DEFAULT_FORMATS
from portability.requests.policy import Actor
from portability.requests.states import ExportState
from portability.requests.transition import store_volume
from worker.claim import claims, fenced_writes
from worker.claim.claims import Claim
from worker.plan.position import Missed, OpenFiles, Position, Reading
from worker.write.begin import begin, describe, withdraw_abandoned

EXPORT, SLICE, VOLUME = models.export, models.slice, models.volume

CLAIM = """
from portability.database.engine import open_engine
from portability.requests.policy import Actor
from claiming import claim_next
engine = open_engine(sys.argv[1])
begin()
held = claim_next(engine, "process", 60)
print(held.id if held else "nothing")
"""

NO_VOLUME = {"id": 1, "token": None}
Write = Callable[[Connection, Claim], object]
FENCED: Mapping[str, Write] = {
    "write": lambda connection, held: fenced_writes.write(connection, held, position={"reading": 7}),
    "lock": fenced_writes.lock,
    "settle": fenced_writes.settle,
    "end_slice": fenced_writes.end_slice,
    "release": fenced_writes.release,
    "back_off": lambda connection, held: fenced_writes.back_off(connection, held, 1, StorageUnavailable("away")),
    "hand_back": fenced_writes.hand_back,
    "end": lambda connection, held: fenced_writes.end(connection, held, ExportState.READY),
    "reserve_volume": lambda connection, held: fenced_writes.reserve_volume(connection, held, None, names),
    "note_upload": lambda connection, held: fenced_writes.note_upload(connection, held, NO_VOLUME, "u"),  # type: ignore[arg-type]
    "forget_volume": lambda connection, held: fenced_writes.forget_volume(connection, held, NO_VOLUME),  # type: ignore[arg-type]
}


def names(number: int) -> tuple[str, str]:
    return f"a/{number}.zip", f"a-{number:03}"


def claimed(made: World, lease_seconds: float = 60) -> Claim:
    held = made.claim(lease_seconds)
    assert held is not None
    return held


def row(made: World, identifier: str) -> RowMapping:
    with reading(made.engine) as connection:
        return exports.get(connection, identifier)


def part(made: World, identifier: str) -> RowMapping:
    """The export's first slice."""
    with reading(made.engine) as connection:
        return slices.of(connection, identifier)[0]


def change_slices(made: World, identifier: str, **values: Any) -> None:
    """What time does to the slices, without waiting for it."""
    with writing(made.engine) as connection:
        connection.execute(update(SLICE).where(SLICE.c.export_id == identifier).values(**values))


def give(made: World, held: Claim, write: Write) -> None:
    with writing(made.engine) as connection:
        write(connection, held)


def test_of_eight_threads_one_gets_the_export(made: World, control_url: str) -> None:
    """A claim is one conditional UPDATE: a simultaneous second one changes nothing."""
    identifier = made.request()

    def claim(_number: int) -> Claim | None:
        engine = open_engine(control_url)
        try:
            return claim_next(engine, "thread", 60)
        finally:
            engine.dispose()

    held = [one for one in in_threads(8, claim) if one is not None]
    assert [(one.id, one.fence) for one in held] == [(identifier, 1)]
    assert part(made, identifier)["attempts"] == 1


def test_of_eight_processes_one_gets_the_export(made: World, control_url: str) -> None:
    """Nothing but the database stands between them."""
    identifier = made.request()
    assert sorted(in_processes(8, CLAIM, control_url)) == sorted([identifier] + ["nothing"] * 7)


def test_eight_threads_get_eight_exports(made: World, control_url: str) -> None:
    """A worker that loses one export finds the next: no two get the same, and none is left."""
    identifiers = {made.request(f"user:usr_{n}") for n in range(8)}

    def claim(_number: int) -> str | None:
        engine = open_engine(control_url)
        try:
            held = claim_next(engine, "thread", 60)
            return None if held is None else held.id
        finally:
            engine.dispose()

    first = {identifier for identifier in in_threads(8, claim) if identifier is not None}
    rest = {held.id for held in iter(made.claim, None)}
    assert not first & rest
    assert first | rest == identifiers


def test_a_claim_says_who_when_and_until_when(made: World) -> None:
    """State, owner, fence and lease change together; the first claim begins the export, later claims do not."""
    identifier = made.request()
    before = claimed(made)
    assert (before.export["state"], before.slice["owner"], before.fence) == ("running", "test", 1)
    assert 58 < (before.slice["lease_until"] - before.slice["claimed_at"]).total_seconds() <= 61
    change_slices(made, identifier, lease_until=now(-1))
    after = claimed(made)
    assert (after.fence, after.export["began_at"]) == (2, before.export["began_at"])


def test_a_lease_ends_by_the_databases_clock(made: World) -> None:
    """A claimed export cannot be claimed until its lease has expired, and then by every worker."""
    identifier = made.request()
    claimed(made)
    assert made.claim() is None
    change_slices(made, identifier, lease_until=now(20))
    assert made.claim() is None
    change_slices(made, identifier, lease_until=now(-0.001))
    assert claimed(made).fence == 2


def test_renewing_prolongs_the_lease_and_reports_a_cancellation(made: World) -> None:
    """The only check that a worker makes while it writes."""
    identifier = made.request()
    held = claimed(made, lease_seconds=5)
    assert fenced_writes.renew(made.engine, held, 600, {}) is False
    assert part(made, identifier)["lease_until"] > datetime.now(UTC) + timedelta(seconds=500)
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor="operator:test")
    assert fenced_writes.renew(made.engine, held, 600, {}) is True


@pytest.mark.parametrize("name", FENCED)
def test_a_stale_fence_writes_nothing(made: World, name: str) -> None:
    """Once another worker has claimed, every write of the first one raises LeaseLost and changes no row."""
    identifier = made.request()
    zombie = claimed(made)
    change_slices(made, identifier, lease_until=now(-1))
    claimed(made)
    before = dict(row(made, identifier)), dict(part(made, identifier))
    with pytest.raises(LeaseLost):
        give(made, zombie, FENCED[name])
    assert (dict(row(made, identifier)), dict(part(made, identifier))) == before
    with reading(made.engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM volume")) == 0


def lose_claims(made: World, identifier: str) -> None:
    """What a failover does that loses the last commits: the export is as it was before it was claimed."""
    before = {"fence": 0, "token": None, "owner": None, "lease_until": None, "claimed_at": None, "attempts": 0}
    change_slices(made, identifier, **before)
    with writing(made.engine) as connection:
        connection.execute(update(EXPORT).where(EXPORT.c.id == identifier).values(state="queued", began_at=None))


@pytest.mark.parametrize("name", FENCED)
def test_a_claim_that_the_database_has_lost_writes_nothing(made: World, name: str) -> None:
    """Both workers hold fence 1 then; only the token tells them apart."""
    identifier = made.request()
    zombie = claimed(made)
    lose_claims(made, identifier)
    heir = claimed(made)
    assert (zombie.fence, heir.fence) == (1, 1)
    before = dict(row(made, identifier)), dict(part(made, identifier))
    with pytest.raises(LeaseLost):
        give(made, zombie, FENCED[name])
    assert (dict(row(made, identifier)), dict(part(made, identifier))) == before
    give(made, heir, fenced_writes.write)


def expire(made: World, identifier: str) -> None:
    change_slices(made, identifier, lease_until=now(-1))


@pytest.mark.parametrize("lose", [expire, lose_claims])
def test_a_lost_claim_withdraws_nothing_of_its_successor(made: World, lose: Callable[[World, str], None]) -> None:
    """The upload of the other worker goes on: the old one stops before it touches storage."""
    identifier = made.request()
    zombie = claimed(made)
    lose(made, identifier)
    heir = claimed(made)
    begun, upload = begin(made.place, heir, describe(made.place, heir), None)
    with reading(made.engine) as connection:
        found = fenced_writes.abandoned(exports.begun(connection, zombie.id), zombie)
        assert fenced_writes.abandoned(exports.begun(connection, heir.id), heir) == []
    with pytest.raises(LeaseLost):
        withdraw_abandoned(made.place, zombie, found)
    assert [one.key for one in made.place.storage.uploads()] == [begun["object_key"]]
    upload.abort()


def test_the_row_of_a_volume_is_stored_under_its_own_token(made: World) -> None:
    """Not under another claim's, even if the number of the row was the same; not twice, and not once it is gone."""
    made.request()
    held = claimed(made)
    with writing(made.engine) as connection:
        begun = fenced_writes.reserve_volume(connection, held, None, names)
    columns = {"closing": False, "bytes": 1}
    for wrong in ({**begun, "token": "f" * 32}, {**begun, "token": None}, {**begun, "id": begun["id"] + 1}):
        with pytest.raises(LeaseLost), writing(made.engine) as connection:
            store_volume(connection, VOLUME, wrong, columns)
    with writing(made.engine) as connection:
        store_volume(connection, VOLUME, begun, columns)
    with pytest.raises(LeaseLost), writing(made.engine) as connection:
        store_volume(connection, VOLUME, begun, columns)


def test_a_stale_fence_cannot_renew(made: World) -> None:
    """An old worker learns of its loss at its next renewal."""
    identifier = made.request()
    zombie = claimed(made)
    change_slices(made, identifier, lease_until=now(-1))
    claimed(made)
    with pytest.raises(LeaseLost):
        fenced_writes.renew(made.engine, zombie, 60, {})


@pytest.mark.parametrize("state", [ExportState.READY, ExportState.FAILED, ExportState.CANCELLED])
def test_an_ended_export_is_nobodys(made: World, state: ExportState) -> None:
    """It is never claimed again, and its last worker cannot write to it either."""
    made.request()
    held = claimed(made)
    give(made, held, lambda connection, held: fenced_writes.end(connection, held, state))
    assert made.claim() is None
    with pytest.raises(LeaseLost):
        give(made, held, fenced_writes.release)


def test_backing_off_waits_and_keeps_the_reason(made: World) -> None:
    """Not claimable before its time; the row says what went wrong meanwhile."""
    identifier = made.request()
    give(made, claimed(made), lambda c, held: fenced_writes.back_off(c, held, 60, StorageUnavailable("away")))
    assert made.claim() is None
    seen = row(made, identifier)
    assert (seen["error_code"], seen["error_message"], seen["state"]) == ("storage_unavailable", "away", "running")
    change_slices(made, identifier, not_before=now(-1))
    assert claimed(made).attempts == 2


def test_handing_back_counts_no_attempt(made: World) -> None:
    """A worker that is stopped has not failed: ten deployments must not fail an export."""
    made.request()
    for _ in range(10):
        give(made, claimed(made), fenced_writes.hand_back)
    assert claimed(made).attempts == 1


def test_who_waited_longest_is_first(made: World) -> None:
    """By the time of the last turn, or of the request: a new export waits for a volume of each, not for a terabyte."""
    first, second = made.request("user:a"), made.request("user:b")
    for identifier, minutes in ((first, 3), (second, 2)):
        change_slices(made, identifier, created_at=now(-60 * minutes))
    turns = []
    for turn in range(5):
        if turn == 1:
            third = made.request("user:c")
        held = claimed(made)
        give(made, held, fenced_writes.release)
        turns.append(held.id)
    assert turns == [first, second, first, third, second]


def test_a_volume_is_known_before_its_upload_begins(made: World) -> None:
    """Begun, it is found as abandoned by the next claim, with or without its upload's id; forgotten, it is gone."""
    identifier = made.request()
    held = claimed(made)
    with writing(made.engine) as connection:
        begun = fenced_writes.reserve_volume(connection, held, None, names)
    assert (begun["number"], begun["object_key"], begun["upload_id"]) == (1, "a/1.zip", fenced_writes.UNKNOWN_UPLOAD)
    give(made, held, lambda connection, held: fenced_writes.note_upload(connection, held, begun, "u"))
    change_slices(made, identifier, lease_until=now(-1))
    heir = claimed(made)
    with reading(made.engine) as connection:
        (left,) = fenced_writes.abandoned(exports.begun(connection, heir.id), heir)
    assert (left["number"], left["fence"], left["state"], left["upload_id"]) == (1, 1, "writing", "u")
    give(made, heir, lambda connection, held: fenced_writes.forget_volume(connection, held, left))
    with reading(made.engine) as connection:
        assert fenced_writes.abandoned(exports.begun(connection, heir.id), heir) == []


def test_no_two_slices_get_the_same_volume_number(made: World) -> None:
    """A counter on the export: numbers may be unused, but not used twice."""
    made.request()
    held = claimed(made)
    with writing(made.engine) as connection:
        slices.open_more(connection, held.id, [Reading(0, label="s01").to_json()])
    other = claimed(made)
    assert (held.id, held.number, other.id, other.number) == (held.id, 0, held.id, 1)
    numbers = []
    for one in (held, other, held):
        with writing(made.engine) as connection:
            numbers.append(fenced_writes.reserve_volume(connection, one, None, names)["number"])
    assert numbers == [1, 2, 3]


def test_the_last_slice_lets_the_first_close(made: World) -> None:
    """Number 0 waits until the others are read, in any order; then it can be claimed again, for closing."""
    identifier = made.request()
    first = claimed(made)
    with writing(made.engine) as connection:
        slices.open_more(connection, identifier, [Reading(0).to_json(), Reading(1).to_json()])
        fenced_writes.lock(connection, first)
        fenced_writes.write_export(connection, first, open_slices=2)
    second, third = claimed(made), claimed(made)
    closes = []
    for held in (second, first, third):
        with writing(made.engine) as connection:
            fenced_writes.lock(connection, held)
            closes.append(fenced_writes.end_slice(connection, held))
    assert closes == [False, False, True]
    assert row(made, identifier)["state"] == "closing"
    closing = claimed(made)
    assert (closing.number, closing.fence) == (0, 2)
    assert made.claim() is None


def test_who_is_last_itself_closes_at_once(made: World) -> None:
    """The others have been read before number 0 has: it stays claimable."""
    identifier = made.request()
    first = claimed(made)
    with writing(made.engine) as connection:
        slices.open_more(connection, identifier, [Reading(0).to_json()])
        fenced_writes.lock(connection, first)
        fenced_writes.write_export(connection, first, open_slices=1)
    second = claimed(made)
    for held, closes in ((second, False), (first, True)):
        with writing(made.engine) as connection:
            fenced_writes.lock(connection, held)
            assert fenced_writes.end_slice(connection, held) is closes
    assert claimed(made).number == 0


def of_tenant(made: World, tenant: str, contact: int) -> str:
    return made.request(f"contact:con_{contact}", tenant=tenant)


def test_what_was_given_back_is_not_renewed(made: World) -> None:
    """The renewing thread may run a moment after the release: it must not lease the slice again."""
    identifier = made.request()
    held = claimed(made)
    give(made, held, fenced_writes.release)
    with pytest.raises(LeaseLost):
        fenced_writes.renew(made.engine, held, 60, {})
    assert part(made, identifier)["lease_until"] is None
    assert claimed(made).id == identifier


def test_tenants_take_turns(made: World) -> None:
    """For any number of exports of one tenant, another tenant's first one is claimed next."""
    crowd = {of_tenant(made, "ten_a", number) for number in range(20)}
    few = [of_tenant(made, "ten_b", number) for number in range(3)]
    order = [claimed(made) for _ in range(6)]
    assert [held.id in crowd for held in order] == [True, False] * 3
    assert [held.id for held in order[1::2]] == few


def test_one_tenant_does_not_take_every_worker(made: World) -> None:
    """No more of its volumes are written at the same time than the limit says; people with an account have none."""
    for number in range(5):
        of_tenant(made, "ten_a", number)
        made.request(f"user:usr_{number}")
    held = [claim_next(made.engine, "test", 60, tenant_volumes_max=2) for _ in range(10)]
    tenants = [one.export["tenant"] for one in held if one is not None]
    assert (tenants.count("ten_a"), tenants.count(None)) == (2, 5)
    change_slices(made, next(one.id for one in held if one and one.export["tenant"]), lease_until=now(-1))
    assert claim_next(made.engine, "test", 60, tenant_volumes_max=2) is not None


def test_the_limit_holds_for_those_who_claim_at_once(made: World, control_url: str) -> None:
    """It is looked at again under a lock."""
    for number in range(8):
        of_tenant(made, "ten_a", number)

    def claim(_number: int) -> bool:
        engine = open_engine(control_url)
        try:
            return claim_next(engine, "thread", 60, tenant_volumes_max=3) is not None
        finally:
            engine.dispose()

    assert sum(in_threads(8, claim)) == 3


def test_small_exports_pass_large_ones(made: World) -> None:
    """Within a tenant, for at most ten minutes; and a worker may be reserved for small exports."""
    large = of_tenant(made, "ten_a", 1)
    change_slices(made, large, large=True, created_at=now(-100))
    small = of_tenant(made, "ten_a", 2)
    assert claimed(made).id == small
    assert claim_next(made.engine, "test", 60, small_only=True) is None
    assert claimed(made).id == large
    change_slices(made, large, lease_until=None, claimed_at=now(-claims.YIELDS_SECONDS - 1))
    of_tenant(made, "ten_a", 3)
    assert claimed(made).id == large


def test_a_persons_further_requests_yield_to_other_people(made: World) -> None:
    """Five requests of one person do not keep the others waiting; after ten minutes each has its turn."""
    first, *further = (made.request("user:usr_1", since=f"2026-0{month}-01") for month in (1, 2, 3))
    other, another = made.request("user:usr_2"), made.request("user:usr_3")
    assert [claimed(made).id for _ in range(4)] == [first, other, another, further[0]]
    made.request("user:usr_4")
    change_slices(made, further[1], created_at=now(-601))
    assert claimed(made).id == further[1]


def test_a_newer_version_is_left_alone(made: World) -> None:
    """A worker that does not understand a row's position must not guess: a newer worker will claim it.

    Rows of this release have version 2 or 3.
    """
    identifier = made.request()
    change_slices(made, identifier, version=4)
    assert made.claim() is None
    change_slices(made, identifier, version=3)
    assert claimed(made).id == identifier


@pytest.mark.parametrize(
    ("formats", "version"),
    [(("jsonl", "csv", "vcon"), 2), (("csv",), 2), (("jsonl", "xlsx"), 3), (("jsonl", "sqlite"), 3)],
)
def test_an_export_is_left_alone_by_workers_that_do_not_know_its_formats(
    made: World, formats: tuple[str, ...], version: int
) -> None:
    """Workers of version 2 know three formats, and fail an export with others. A cut and a retry keep the version."""
    identifier = made.request(formats=formats)
    with writing(made.engine) as connection:
        slices.open_more(connection, identifier, [Reading(0).to_json()])
        slices.reopen_first(connection, identifier, None)
        assert [row["version"] for row in slices.of(connection, identifier)] == [version, version]
    change_slices(made, identifier, version=1)
    with writing(made.engine) as connection:
        slices.reopen_first(connection, identifier, None)
        assert slices.of(connection, identifier)[0]["version"] == 2


def test_a_state_that_cannot_be_is_ended_and_counted(made: World) -> None:
    """An open slice of an ended export is not claimed; others still are."""
    contradictory = made.request()
    with writing(made.engine) as connection:
        connection.execute(update(EXPORT).values(state="ready"))
    good = made.request("user:usr_2")
    assert {held.id for held in (made.claim(), made.claim()) if held is not None} == {good}
    assert part(made, contradictory)["state"] == "done"
    assert [(row["kind"], row["count"]) for row in incidents.counted(made.engine)] == [("unknown_state", 1)]


@pytest.mark.parametrize(
    "position",
    [
        Position(),
        Position(3, "cursor", 7),
        Position(3, None, 7, OpenFiles("next", "last/file.wav", 2, 5_000_000_000)),
        Position(0, 'with "quotes", {braces} and é', 0, OpenFiles("")),
    ],
)
def test_a_position_comes_back_from_the_row_as_it_was(made: World, position: Position) -> None:
    """Through JSON and either database: another worker continues where the first one stopped."""
    made.request()
    give(made, claimed(made), lambda c, held: fenced_writes.release(c, held, position=position.to_json()))
    assert Position.from_json(claimed(made).slice["position"]) == position


@pytest.mark.parametrize(
    "read",
    [
        Reading(0),
        Reading(3, Slice(None, "m"), "s01"),
        Reading(3, Slice("m", None), "r2-01", "cursor", OpenFiles("next", "last", 1, 9), Missed(("a.wav",)), (1, 2)),
        Reading(3, missed=Missed((), ())),
    ],
)
def test_a_reading_comes_back_from_the_row_as_it_was(made: World, read: Reading) -> None:
    """Through JSON and either database."""
    made.request()
    give(made, claimed(made), lambda c, held: fenced_writes.release(c, held, readings=[read.to_json()]))
    assert [Reading.from_json(frozen) for frozen in claimed(made).slice["readings"]] == [read]


def test_those_who_ask_the_same_at_once_get_one_export(made: World) -> None:
    """A double click is one request: the second waits until the first has been written, and finds it."""
    wanted = acceptance.check(profile="access", subject="user:usr_1", formats=DEFAULT_FORMATS)
    with ThreadPoolExecutor(1) as pool:
        with writing(made.engine) as connection:
            first, is_new = acceptance.accept(connection, wanted, actor=Actor("operator", "test"))
            second = pool.submit(made.request)
            with pytest.raises(TimeoutError):
                second.result(timeout=0.5)
        assert (second.result(timeout=30), is_new) == (first, True)


def test_a_worker_for_small_exports_looks_past_tenants_with_large_ones(made: World) -> None:
    """However many of them have waited longer."""
    for number in range(claims.TENANTS_MAX + 5):
        change_slices(made, of_tenant(made, f"ten_{number:03}", number), large=True)
    with writing(made.engine) as connection:
        connection.execute(update(models.turn).values(served_at=now(-100)))
    small = of_tenant(made, "ten_zzz", 1)
    held = claim_next(made.engine, "test", 60, small_only=True)
    assert held is not None
    assert held.id == small
