from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from subprocess import run

import pytest
import servers

from chaos import contents, faults, oracle, report, schedule, shifted
from chaos.run import Chaos, chaos
from chaos.stack import FORMS, Form


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("form", "seeds"),
    [
        ("servers", 1),
        pytest.param("servers", 5, marks=pytest.mark.system),
        pytest.param("embedded", 3, marks=pytest.mark.system),
    ],
)
def test_whatever_dies_each_request_gets_one_whole_archive(form: Form, seeds: int, tmp_path: Path) -> None:
    """Faults in the middle of exports, with more seeds every kind: nothing is lost, doubled, stuck or left behind."""
    try:
        with chaos(form, tmp_path / "stack") as made:
            outcomes = [made.play(seed) for seed in range(seeds)]
            kinds = made.kinds.keys()
            _the_oracle_sees(made)
    except servers.ServerMissing as missing:
        pytest.fail(str(missing), pytrace=False)

    print("\n".join(outcome.line() for outcome in outcomes), report.table(outcomes), sep="\n\n")  # noqa: T201  # for -ra
    assert {outcome.seed: outcome.problems for outcome in outcomes if not outcome.ok} == {}
    injected = {kind for outcome in outcomes for kind in outcome.injected}
    assert injected == kinds if seeds > 1 else len(injected) >= 3


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


@pytest.mark.parametrize("form", FORMS)
def test_a_seed_plans_the_same_every_time(form: Form) -> None:
    """A seed can be repeated; consecutive seeds cover all kinds of faults."""
    kinds = sorted(faults.kinds(form, has_disk=True))
    volumes = {"tenant": 13, "user": 1, "contact": 2}
    plans = [schedule.plan(seed, kinds, volumes, "tenant") for seed in range(5)]

    assert plans == [schedule.plan(seed, kinds, volumes, "tenant") for seed in range(5)]
    assert {planned.kind for plan in plans for planned in plan.faults} == set(kinds)
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
