from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import World, world
from simultaneous import in_processes, in_threads
from sqlalchemy import Connection, RowMapping, text, update

from portability import exports, incidents, models, requests, slices
from portability.api import Slice
from portability.db import now, open_engine, reading, writing
from portability.errors import LeaseLost, StorageUnavailable
from portability.states import ExportState
from worker import checkpoint, claims
from worker.claims import Claim
from worker.position import Missed, OpenFiles, Position, Reading

EXPORT, SLICE, VOLUME = models.export, models.slice, models.volume

CLAIM = """
from portability.db import open_engine
from worker import claims
engine = open_engine(sys.argv[1])
begin()
held = claims.claim(engine, "process", 60)
print(held.id if held else "nothing")
"""

Write = Callable[[Connection, Claim], object]
FENCED: Mapping[str, Write] = {
    "write": lambda connection, held: checkpoint.write(connection, held, position={"reading": 7}),
    "lock": checkpoint.lock,
    "settle": checkpoint.settle,
    "end_slice": checkpoint.end_slice,
    "release": checkpoint.release,
    "back_off": lambda connection, held: checkpoint.back_off(connection, held, 1, StorageUnavailable("away")),
    "hand_back": checkpoint.hand_back,
    "end": lambda connection, held: checkpoint.end(connection, held, ExportState.READY),
    "reserve_volume": lambda connection, held: checkpoint.reserve_volume(connection, held, None, names),
    "note_upload": lambda connection, held: checkpoint.note_upload(connection, held, {"id": 1}, "u"),  # type: ignore[arg-type]
    "forget_volume": lambda connection, held: checkpoint.forget_volume(connection, held, {"id": 1}),  # type: ignore[arg-type]
}


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    return world(tmp_path, {}, database_url=control_url)


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


def change(made: World, identifier: str, **values: Any) -> None:
    """What time does to the slices, without waiting for it."""
    with writing(made.engine) as connection:
        connection.execute(update(SLICE).where(SLICE.c.export_id == identifier).values(**values))


def give(made: World, held: Claim, write: Write) -> None:
    with writing(made.engine) as connection:
        write(connection, held)


def test_of_eight_threads_one_gets_the_export(made: World, control_url: str) -> None:
    """A claim is one conditional UPDATE: whoever comes at the same moment finds nothing to do."""
    identifier = made.request()

    def claim(_number: int) -> Claim | None:
        engine = open_engine(control_url)
        try:
            return claims.claim(engine, "thread", 60)
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
    """Whoever loses one export finds the next: no two get the same, and none is left."""
    identifiers = {made.request(f"user:usr_{n}") for n in range(8)}

    def claim(_number: int) -> str | None:
        engine = open_engine(control_url)
        try:
            held = claims.claim(engine, "thread", 60)
            return None if held is None else held.id
        finally:
            engine.dispose()

    first = {identifier for identifier in in_threads(8, claim) if identifier is not None}
    rest = {held.id for held in iter(made.claim, None)}
    assert not first & rest
    assert first | rest == identifiers


def test_a_claim_says_who_when_and_until_when(made: World) -> None:
    """State, owner, fence and lease change together; the first claim begins the export, a later one does not."""
    identifier = made.request()
    before = claimed(made)
    assert (before.export["state"], before.slice["owner"], before.fence) == ("running", "test", 1)
    assert 58 < (before.slice["lease_until"] - before.slice["claimed_at"]).total_seconds() <= 61
    change(made, identifier, lease_until=now(-1))
    after = claimed(made)
    assert (after.fence, after.export["began_at"]) == (2, before.export["began_at"])


def test_a_lease_ends_by_the_databases_clock(made: World) -> None:
    """A claimed export is nobody else's until its lease has run out, and then anybody's."""
    identifier = made.request()
    claimed(made)
    assert made.claim() is None
    change(made, identifier, lease_until=now(0.5))
    assert made.claim() is None
    change(made, identifier, lease_until=now(-0.001))
    assert claimed(made).fence == 2


def test_renewing_prolongs_the_lease_and_tells_of_cancelling(made: World) -> None:
    """The one question that a worker asks while it writes."""
    identifier = made.request()
    held = claimed(made, lease_seconds=5)
    assert checkpoint.renew(made.engine, held, 600, {}) is False
    assert part(made, identifier)["lease_until"] > datetime.now(UTC) + timedelta(seconds=500)
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor="operator:test")
    assert checkpoint.renew(made.engine, held, 600, {}) is True


@pytest.mark.parametrize("name", FENCED)
def test_a_stale_fence_writes_nothing(made: World, name: str) -> None:
    """Once another worker has claimed, every write of the first one raises LeaseLost and changes no row."""
    identifier = made.request()
    zombie = claimed(made)
    change(made, identifier, lease_until=now(-1))
    claimed(made)
    before = dict(row(made, identifier)), dict(part(made, identifier))
    with pytest.raises(LeaseLost):
        give(made, zombie, FENCED[name])
    assert (dict(row(made, identifier)), dict(part(made, identifier))) == before
    with reading(made.engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM volume")) == 0


def test_a_stale_fence_cannot_renew(made: World) -> None:
    """A zombie learns of its loss at its next renewal."""
    identifier = made.request()
    zombie = claimed(made)
    change(made, identifier, lease_until=now(-1))
    claimed(made)
    with pytest.raises(LeaseLost):
        checkpoint.renew(made.engine, zombie, 60, {})


@pytest.mark.parametrize("state", [ExportState.READY, ExportState.FAILED, ExportState.CANCELLED])
def test_an_ended_export_is_nobodys(made: World, state: ExportState) -> None:
    """It is never claimed again, and its last worker cannot write to it either."""
    made.request()
    held = claimed(made)
    give(made, held, lambda connection, held: checkpoint.end(connection, held, state))
    assert made.claim() is None
    with pytest.raises(LeaseLost):
        give(made, held, checkpoint.release)


def test_backing_off_waits_and_keeps_the_reason(made: World) -> None:
    """Not claimable before its time; the row says what went wrong meanwhile."""
    identifier = made.request()
    give(made, claimed(made), lambda c, held: checkpoint.back_off(c, held, 60, StorageUnavailable("away")))
    assert made.claim() is None
    seen = row(made, identifier)
    assert (seen["error_code"], seen["error_message"], seen["state"]) == ("storage_unavailable", "away", "running")
    change(made, identifier, not_before=now(-1))
    assert claimed(made).attempts == 2


def test_handing_back_counts_no_attempt(made: World) -> None:
    """A worker that is told to stop has not failed: deploying ten times must not fail an export."""
    made.request()
    for _ in range(10):
        give(made, claimed(made), checkpoint.hand_back)
    assert claimed(made).attempts == 1


def test_who_waited_longest_is_first(made: World) -> None:
    """Since its last turn, or since it was asked for: a new export waits for one volume of each, not for a terabyte."""
    first, second = made.request("user:a"), made.request("user:b")
    for identifier, minutes in ((first, 3), (second, 2)):
        change(made, identifier, created_at=now(-60 * minutes))
    turns = []
    for turn in range(5):
        if turn == 1:
            third = made.request("user:c")
        held = claimed(made)
        give(made, held, checkpoint.release)
        turns.append(held.id)
    assert turns == [first, second, first, third, second]


def test_a_volume_is_known_before_its_upload_begins(made: World) -> None:
    """Begun, it is found as abandoned by the next claim, with or without its upload's id; forgotten, it is gone."""
    identifier = made.request()
    held = claimed(made)
    with writing(made.engine) as connection:
        begun = checkpoint.reserve_volume(connection, held, None, names)
    assert (begun["number"], begun["object_key"], begun["upload_id"]) == (1, "a/1.zip", checkpoint.UNKNOWN_UPLOAD)
    give(made, held, lambda connection, held: checkpoint.note_upload(connection, held, begun, "u"))
    change(made, identifier, lease_until=now(-1))
    heir = claimed(made)
    with reading(made.engine) as connection:
        (left,) = checkpoint.abandoned(connection, heir)
    assert (left["number"], left["fence"], left["state"], left["upload_id"]) == (1, 1, "writing", "u")
    give(made, heir, lambda connection, held: checkpoint.forget_volume(connection, held, left))
    with reading(made.engine) as connection:
        assert checkpoint.abandoned(connection, heir) == []


def test_a_zombie_does_not_find_what_its_heir_has_begun(made: World) -> None:
    """It may wake up just before it tidies up, and would abort an upload that is alive."""
    identifier = made.request()
    zombie = claimed(made)
    change(made, identifier, lease_until=now(-1))
    heir = claimed(made)
    with writing(made.engine) as connection:
        checkpoint.reserve_volume(connection, heir, None, names)
    with reading(made.engine) as connection:
        assert checkpoint.abandoned(connection, zombie) == []


def test_no_two_slices_get_the_same_volume_number(made: World) -> None:
    """A counter on the export: unused numbers are legal, doubled ones are not."""
    made.request()
    held = claimed(made)
    with writing(made.engine) as connection:
        slices.open_more(connection, held.id, [Reading(0, label="s01").freeze()])
    other = claimed(made)
    assert (held.id, held.number, other.id, other.number) == (held.id, 0, held.id, 1)
    numbers = []
    for one in (held, other, held):
        with writing(made.engine) as connection:
            numbers.append(checkpoint.reserve_volume(connection, one, None, names)["number"])
    assert numbers == [1, 2, 3]


def test_the_last_slice_lets_the_first_close(made: World) -> None:
    """Number 0 waits until the others are read, whoever of them is last; then it is claimable again, for closing."""
    identifier = made.request()
    first = claimed(made)
    with writing(made.engine) as connection:
        slices.open_more(connection, identifier, [Reading(0).freeze(), Reading(1).freeze()])
        checkpoint.lock(connection, first)
        checkpoint.write_export(connection, first, open_slices=2)
    second, third = claimed(made), claimed(made)
    closes = []
    for held in (second, first, third):
        with writing(made.engine) as connection:
            checkpoint.lock(connection, held)
            closes.append(checkpoint.end_slice(connection, held))
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
        slices.open_more(connection, identifier, [Reading(0).freeze()])
        checkpoint.lock(connection, first)
        checkpoint.write_export(connection, first, open_slices=1)
    second = claimed(made)
    for held, closes in ((second, False), (first, True)):
        with writing(made.engine) as connection:
            checkpoint.lock(connection, held)
            assert checkpoint.end_slice(connection, held) is closes
    assert claimed(made).number == 0


def of_tenant(made: World, tenant: str, contact: int) -> str:
    return made.request(f"contact:con_{contact}", tenant=tenant)


def test_what_was_given_back_is_not_renewed(made: World) -> None:
    """The thread that renews may come a moment after the release: it must not lease the slice for nobody."""
    identifier = made.request()
    held = claimed(made)
    give(made, held, checkpoint.release)
    with pytest.raises(LeaseLost):
        checkpoint.renew(made.engine, held, 60, {})
    assert part(made, identifier)["lease_until"] is None
    assert claimed(made).id == identifier


def test_tenants_take_turns(made: World) -> None:
    """However many exports one tenant has, another's first is claimed next."""
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
    held = [claims.claim(made.engine, "test", 60, tenant_volumes_max=2) for _ in range(10)]
    tenants = [one.export["tenant"] for one in held if one is not None]
    assert (tenants.count("ten_a"), tenants.count(None)) == (2, 5)
    change(made, next(one.id for one in held if one and one.export["tenant"]), lease_until=now(-1))
    assert claims.claim(made.engine, "test", 60, tenant_volumes_max=2) is not None


def test_the_limit_holds_for_those_who_claim_at_once(made: World, control_url: str) -> None:
    """It is looked at again under a lock."""
    for number in range(8):
        of_tenant(made, "ten_a", number)

    def claim(_number: int) -> bool:
        engine = open_engine(control_url)
        try:
            return claims.claim(engine, "thread", 60, tenant_volumes_max=3) is not None
        finally:
            engine.dispose()

    assert sum(in_threads(8, claim)) == 3


def test_small_exports_pass_large_ones(made: World) -> None:
    """Within a tenant, for ten minutes at most; and a worker may be kept for small ones."""
    large = of_tenant(made, "ten_a", 1)
    change(made, large, large=True, created_at=now(-100))
    small = of_tenant(made, "ten_a", 2)
    assert claimed(made).id == small
    assert claims.claim(made.engine, "test", 60, small_only=True) is None
    assert claimed(made).id == large
    change(made, large, lease_until=None, claimed_at=now(-claims.LARGE_WAITS_SECONDS - 1))
    of_tenant(made, "ten_a", 3)
    assert claimed(made).id == large


def test_a_newer_version_is_left_alone(made: World) -> None:
    """A worker that does not understand a row's position must not guess: another one will come."""
    identifier = made.request()
    change(made, identifier, version=slices.VERSION + 1)
    assert made.claim() is None
    change(made, identifier, version=slices.VERSION)
    assert claimed(made).id == identifier


def test_a_state_that_cannot_be_is_ended_and_counted(made: World) -> None:
    """An open slice of an export that has ended is nobody's work; others are served all the same."""
    strange = made.request()
    with writing(made.engine) as connection:
        connection.execute(update(EXPORT).values(state="ready"))
    good = made.request("user:usr_2")
    assert {held.id for held in (made.claim(), made.claim()) if held is not None} == {good}
    assert part(made, strange)["state"] == "done"
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
    """Through JSON and either database: where one worker stopped, another goes on."""
    made.request()
    give(made, claimed(made), lambda c, held: checkpoint.release(c, held, position=position.freeze()))
    assert Position.thaw(claimed(made).slice["position"]) == position


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
    give(made, claimed(made), lambda c, held: checkpoint.release(c, held, readings=[read.freeze()]))
    assert [Reading.thaw(frozen) for frozen in claimed(made).slice["readings"]] == [read]


def test_those_who_ask_the_same_at_once_get_one_export(made: World) -> None:
    """A double click is one request: the second waits until the first has been written, and finds it."""
    wanted = requests.check(profile="access", subject="user:usr_1")
    with ThreadPoolExecutor(1) as pool:
        with writing(made.engine) as connection:
            first, is_new = requests.accept(connection, wanted, actor="operator:test")
            second = pool.submit(made.request)
            with pytest.raises(TimeoutError):
                second.result(timeout=0.5)
        assert (second.result(timeout=30), is_new) == (first, True)


def test_a_worker_for_small_exports_looks_past_tenants_with_large_ones(made: World) -> None:
    """However many of them have waited longer."""
    for number in range(claims.TENANTS_MAX + 5):
        change(made, of_tenant(made, f"ten_{number:03}", number), large=True)
    with writing(made.engine) as connection:
        connection.execute(update(models.turn).values(served_at=now(-100)))
    small = of_tenant(made, "ten_zzz", 1)
    held = claims.claim(made.engine, "test", 60, small_only=True)
    assert held is not None
    assert held.id == small
