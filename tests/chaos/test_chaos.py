from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from subprocess import run
from types import SimpleNamespace
from typing import cast

import pytest
import servers

from chaos import contents, kinds, oracle, report, schedule, shifted, source
from chaos.clusters import Happened
from chaos.failovers import MOVES
from chaos.round import Deployed, Round
from chaos.run import Chaos, chaos
from chaos.stack import FORMS, Form


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("form", "seeds"), [("servers", 5), ("embedded", 3)])
def test_whatever_dies_each_request_gets_one_whole_archive(form: Form, seeds: int, tmp_path: Path) -> None:
    """Faults in the middle of exports, with more seeds every kind: nothing is lost, doubled, stuck or left behind."""
    outcomes, possible = _played(form, seeds, tmp_path)
    injected = {kind for outcome in outcomes for kind in outcome.injected}
    assert injected == possible


@pytest.mark.system
@pytest.mark.timeout(5400)
def test_whatever_is_replaced_no_archive_is_wrong(tmp_path: Path) -> None:
    """Failovers with and without lost commits, and a restore: each kind of fault.

    Requests that were accepted in a lost history come back; only what was not in the journal yet may be gone.
    """
    outcomes, possible = _played("cluster", 100, tmp_path)
    injected = {kind for outcome in outcomes for kind in outcome.injected}
    counts = sum((outcome.counts for outcome in outcomes), Counter[str]())
    assert set(MOVES) <= injected
    assert injected == possible
    lossy = {"failover_lost", "restore"}
    assert counts["histories that were lost"] == sum(not lossy.isdisjoint(outcome.injected) for outcome in outcomes)
    # A seed has one failover: without lost commits it lost no request.
    assert all(outcome.lost_with_commits <= len(lossy & {*outcome.injected}) for outcome in outcomes)
    expected = ("exports retried after an object was lost", "queries cancelled by the replica")
    assert all(counts[name] for name in (*expected, "rows that came or went", "late writes of an old worker"))


def _played(form: Form, seeds: int, folder: Path) -> tuple[list[report.Outcome], set[str]]:
    """What came of the first seeds, and all kinds of faults that the stack can have."""
    try:
        with chaos(form, folder / "stack") as made:
            outcomes = [made.play(seed) for seed in range(seeds)]
            possible = {*made.kinds, *made.moves}
            _the_oracle_sees(made)
    except servers.ServerMissing as missing:
        pytest.fail(str(missing), pytrace=False)

    print("\n".join(outcome.line() for outcome in outcomes), report.table(outcomes), sep="\n\n")  # noqa: T201  # for -ra
    assert {outcome.seed: outcome.problems for outcome in outcomes if not outcome.ok} == {}
    return outcomes, possible


def _the_oracle_sees(made: Chaos) -> None:
    """What is planted is found: an oracle that never finds anything would be content with everything."""
    storage, temporary = made.stack.storage, made.stack.temporary / "planted"
    stray = storage.begin("planted/object")
    stray.write(b"whole")
    stray.complete()
    upload = storage.begin("planted/upload")
    temporary.touch()
    found = [problem.rpartition(" ")[2] for problem in oracle.left_behind(made.stack)]
    assert {"planted/upload", "planted"} <= set(found)
    assert any("planted/object" in problem for problem in oracle.left_behind(made.stack))
    upload.abort()
    temporary.unlink()
    storage.delete("planted/object")
    assert list(oracle.problems_of(made.stack, "a" * 24, None)) == [f"lost: {'a' * 24} was accepted and has no row"]
    whole = made.reference[made.tenant]
    one = next(iter(whole))
    assert contents.differences(whole - Counter([one]), whole) == (1, 0)
    assert contents.differences(whole + Counter([one]), whole) == (0, 1)
    there = made.there[made.tenant]
    row = next(thing for thing in contents.record_ids(whole) if thing[0] == "chats/messages")
    assert list(source.problems(whole, there, ())) == []
    record = next(thing for thing in whole if thing[0] == row[0] and f'"id": "{row[1]}"' in thing[1])
    assert _words(source.problems(whole - Counter([record]), there, ())) == ["silent"]
    assert _words(source.problems(whole + Counter([record]), there, {row[1]})) == ["doubled"]


def _words(problems: Iterable[str]) -> list[str]:
    return [problem.partition(":")[0] for problem in problems]


def test_rows_that_come_and_go_are_there_once_or_not() -> None:
    """The oracle expects a row that was there all the time, once; of others it accepts one, and never two."""
    whole = Counter(
        [("a/b", '{"id": "stays"}'), ("a/b csv", "stays,1"), ("a/b", '{"id": "goes"}'), ("a/b csv", "goes,1")]
    )
    there = {"a/b": frozenset({"stays"})}
    without = Counter({thing: number for thing, number in whole.items() if "goes" not in thing[1]})
    for seen in (whole, without):
        assert contents.differences(seen, whole, {"goes"}) == (0, 0)
        assert list(source.problems(seen, there, {"goes"})) == []
    assert contents.differences(whole + whole, whole, {"goes"}) == (0, 4)
    assert _words(source.problems(whole + whole, there, {"goes"})) == ["doubled"]
    assert contents.differences(Counter(), whole, {"goes"}) == (2, 0)
    assert _words(source.problems(Counter(), there, {"goes"})) == ["silent"]
    assert _words(source.problems(whole, there, ())) == ["silent"]


def test_only_requests_of_a_lost_history_may_be_gone() -> None:
    """A request that was accepted before the replica was cut off, or after the failover, must be there."""
    happened = Happened(cuts=[(10, 20)])
    made = cast("Deployed", SimpleNamespace(stack=SimpleNamespace(happened=happened), promised=set()))
    accepted = {"before": "user", "lost": "user", "after": "user", "known": "user"}
    played = Round(made, schedule.Plan(0, [], []), report.Outcome("cluster", 0), accepted)
    played.accepted_at = {"before": 5, "lost": 15, "after": 25, "known": 15}
    played.forget_lost(frozenset({"known"}))

    assert sorted(played.accepted) == ["after", "before", "known"]
    assert played.outcome.lost_with_commits == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_seed_plans_the_same_every_time(form: Form) -> None:
    """A seed can be repeated; consecutive seeds cover all kinds of faults."""
    names = sorted(kinds.kinds(form, has_disk=True))
    volumes = {"tenant": 13, "user": 1, "contact": 2}
    moves = sorted(kinds.moves(form))
    plans = [schedule.plan(seed, names, volumes, "tenant", moves=moves) for seed in range(7)]

    assert plans == [schedule.plan(seed, names, volumes, "tenant", moves=moves) for seed in range(7)]
    assert {planned.kind for plan in plans for planned in plan.faults} == {*names, *moves}
    assert all(len(plan.faults) >= 3 and "tenant" in plan.subjects for plan in plans)


@pytest.mark.parametrize("seconds", [-600, 600])
def test_a_wrong_clock_is_wrong_for_the_command_line(seconds: int) -> None:
    """Both ways that Python code asks for the time are wrong by as much, and dates stay what libraries take."""
    ask = (
        "import sys; sys.path.insert(0, sys.argv[1]); import shifted, time; "
        f"shifted.shift({seconds}); from datetime import datetime, UTC; import sqlalchemy, psycopg, orjson; "
        "orjson.dumps(datetime.now(UTC)); assert isinstance(datetime.now(UTC), datetime); "
        "print(round((datetime.now(UTC) - shifted.REAL.now(UTC)).total_seconds())); "
        "print(round(time.time() - shifted.REAL.now(UTC).timestamp()))"
    )
    done = run([sys.executable, "-c", ask, str(Path(shifted.__file__).parent)], capture_output=True, check=False)

    assert done.stdout.decode().split() == [str(seconds)] * 2, done.stderr.decode()
