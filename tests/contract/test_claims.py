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

from portability import exports, models, requests
from portability.db import now, open_engine, reading, writing
from portability.errors import LeaseLost, StorageUnavailable
from portability.states import ExportState
from worker import checkpoint
from worker.checkpoint import Claim, OpenFiles, Position

EXPORT = models.export

CLAIM = """
from portability.db import open_engine
from worker import checkpoint
engine = open_engine(sys.argv[1])
begin()
held = checkpoint.claim(engine, "process", 60)
print(held.id if held else "nothing")
"""

Write = Callable[[Connection, Claim], object]
FENCED: Mapping[str, Write] = {
    "write": lambda connection, held: checkpoint.write(connection, held, volume_counter=7),
    "release": checkpoint.release,
    "back_off": lambda connection, held: checkpoint.back_off(connection, held, 1, StorageUnavailable("away")),
    "hand_back": checkpoint.hand_back,
    "end": lambda connection, held: checkpoint.end(connection, held, ExportState.READY),
    "begin_volume": lambda connection, held: checkpoint.begin_volume(connection, held, volume()),
    "forget_volume": lambda connection, held: checkpoint.forget_volume(connection, held, {"id": 1}),  # type: ignore[arg-type]
}


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    return world(tmp_path, {}, database_url=control_url)


def volume() -> dict[str, object]:
    return {"number": 1, "object_key": "a/1.zip", "upload_id": "u", "closing": False, "name": "a-001"}


def claimed(made: World, lease_seconds: float = 60) -> Claim:
    held = made.claim(lease_seconds)
    assert held is not None
    return held


def row(made: World, identifier: str) -> RowMapping:
    with reading(made.engine) as connection:
        return exports.get(connection, identifier)


def change(made: World, identifier: str, **values: Any) -> None:
    """What time does, without waiting for it."""
    with writing(made.engine) as connection:
        connection.execute(update(EXPORT).where(EXPORT.c.id == identifier).values(**values))


def give(made: World, held: Claim, write: Write) -> None:
    with writing(made.engine) as connection:
        write(connection, held)


def test_of_eight_threads_one_gets_the_export(made: World, control_url: str) -> None:
    """A claim is one conditional UPDATE: whoever comes at the same moment finds nothing to do."""
    identifier = made.request()

    def claim(_number: int) -> Claim | None:
        engine = open_engine(control_url)
        try:
            return checkpoint.claim(engine, "thread", 60)
        finally:
            engine.dispose()

    held = [one for one in in_threads(8, claim) if one is not None]
    assert [(one.id, one.fence) for one in held] == [(identifier, 1)]
    assert row(made, identifier)["attempts"] == 1


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
            held = checkpoint.claim(engine, "thread", 60)
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
    before = claimed(made).export
    assert (before["state"], before["owner"], before["fence"]) == ("running", "test", 1)
    assert 58 < (before["lease_until"] - before["claimed_at"]).total_seconds() <= 61
    change(made, identifier, lease_until=now(-1))
    after = claimed(made).export
    assert (after["fence"], after["began_at"]) == (2, before["began_at"])


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
    assert row(made, identifier)["lease_until"] > datetime.now(UTC) + timedelta(seconds=500)
    change(made, identifier, cancel_requested_at=now())
    assert checkpoint.renew(made.engine, held, 600, {}) is True


@pytest.mark.parametrize("name", FENCED)
def test_a_stale_fence_writes_nothing(made: World, name: str) -> None:
    """Once another worker has claimed, every write of the first one raises LeaseLost and changes no row."""
    identifier = made.request()
    zombie = claimed(made)
    change(made, identifier, lease_until=now(-1))
    claimed(made)
    before = row(made, identifier)
    with pytest.raises(LeaseLost):
        give(made, zombie, FENCED[name])
    assert dict(row(made, identifier)) == dict(before)
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
    assert claimed(made).export["attempts"] == 2


def test_handing_back_counts_no_attempt(made: World) -> None:
    """A worker that is told to stop has not failed: deploying ten times must not fail an export."""
    made.request()
    for _ in range(10):
        give(made, claimed(made), checkpoint.hand_back)
    assert claimed(made).export["attempts"] == 1


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


def test_a_volume_is_known_before_its_first_byte(made: World) -> None:
    """Begun, it is found as abandoned by the next claim; forgotten, its number is free again."""
    identifier = made.request()
    held = claimed(made)
    give(made, held, lambda connection, held: checkpoint.begin_volume(connection, held, volume()))
    assert row(made, identifier)["volume_counter"] == 1
    change(made, identifier, lease_until=now(-1))
    heir = claimed(made)
    with reading(made.engine) as connection:
        (left,) = checkpoint.abandoned(connection, heir)
    assert (left["number"], left["fence"], left["state"]) == (1, 1, "writing")
    give(made, heir, lambda connection, held: checkpoint.forget_volume(connection, held, left))
    assert row(made, identifier)["volume_counter"] == 0


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
    assert Position.thaw(claimed(made).export["position"]) == position


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
