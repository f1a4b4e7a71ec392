"""`python -m mutants.run`: change the rules one by one, and find the changes that no test notices.

The law is tried in full; of the other rooms a seeded sample. A change that survives needs a new test, or an explanation
in `explained.toml`, which docs/requirements.md shows.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from mutants.changes import Change, changes
from mutants.judge import BROKEN
from mutants.recorded import Recorded, record

ROOT = Path(__file__).parents[2]
EXPLAINED = Path(__file__).with_name("explained.toml")
WHOLE = ("portability/law",)
SAMPLED = ("portability/people", "portability/requests", "worker/close", "worker/write/ledger.py")
SAMPLE = 300
JUDGES = 2
BASE_SECONDS = 30.0
NOTICED = frozenset({pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR})
"""A test failed, or a module of the tests or of their conftest could not be imported: without a change all of them can.
Any other code than these and 0 is a fault of the run."""


def report() -> int:
    """Print one line per surviving change and a summary; 1: a survivor without explanation, or one that is outdated."""
    options = _command_line()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [_copied(Path(folder) / str(number)) for number in range(JUDGES)]
        recorded = record(copies, options.recorded or Path(folder) / "recorded.json", _environment())
        chosen = _chosen(options.seed, options.sample, options.only)
        if not _unnoticed(copies, [_unchanged(chosen[0].path)], recorded):
            raise RuntimeError("the tests fail without a change")
        survivors = _unnoticed(copies, chosen, recorded)
    explained: Mapping[str, str] = tomllib.loads(EXPLAINED.read_text()).get("survives", {})
    new = [change for change in survivors if change.name not in explained]
    for change in new:
        print(f"survived: {change.path}:{change.line}", flush=True)
    tried = {change.name for change in chosen}
    outdated = [name for name in explained if name in tried and name not in {change.name for change in survivors}]
    for name in outdated:
        print(f"explained, but noticed by a test: {name}")
    minutes = (time.monotonic() - started) / 60
    print(
        f"{len(chosen)} changes, {len(chosen) - len(survivors)} noticed, {len(survivors) - len(new)} explained, "
        f"{len(new)} survived, seed {options.seed}, {minutes:.1f} min"
    )
    return 1 if new or outdated else 0


def _command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="which changes the sample contains")
    parser.add_argument("--sample", type=int, default=SAMPLE, help="number of changes outside of the law")
    parser.add_argument("--only", default="", help="all changes of the files whose path begins with this")
    parser.add_argument("--recorded", type=Path, help="file with the run without a change: read, or written if absent")
    return parser.parse_args()


def _copied(target: Path) -> Path:
    """Copy the files that Git knows, and new files that it does not ignore; compile them, so that no judge does."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    compileall.compile_dir(target, quiet=2)
    return target


def _environment() -> Mapping[str, str]:
    return {**os.environ, "PYTHONPATH": ".:tests:tests/support", "CI": "true"}


def _chosen(seed: int, sample: int, only: str) -> Sequence[Change]:
    """Return the changes to try; with `only`, all of the files whose path begins so."""
    if only:
        return [change for room in (*WHOLE, *SAMPLED) for change in _changes_of(room, only)]
    whole = [change for room in WHOLE for change in _changes_of(room)]
    return [*_sampled(seed, sample, (change for room in SAMPLED for change in _changes_of(room))), *whole]


def _sampled(seed: int, sample: int, others: Iterable[Change]) -> Sequence[Change]:
    """Choose by a hash of each change, so that an edit of a file exchanges only changes of its own."""
    seen: Counter[str] = Counter()
    found: list[tuple[bytes, int, Change]] = []
    for change in others:
        seen[change.name] += 1
        named = f"{seed}\0{change.name}\0{seen[change.name]}"
        found.append((hashlib.sha256(named.encode()).digest(), len(found), change))
    return [change for _, _, change in sorted(found, key=lambda each: each[:2])[:sample]]


def _unchanged(path: str) -> Change:
    return Change(path, 0, "", "", (ROOT / path).read_text())


def _changes_of(room: str, only: str = "") -> Iterator[Change]:
    place = ROOT / room
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.suffix in {".py", ".toml"})
    for path in (str(path.relative_to(ROOT)) for path in files):
        if path.startswith(only):
            yield from changes(ROOT, path)


def _unnoticed(copies: Sequence[Path], chosen: Sequence[Change], recorded: Recorded) -> Sequence[Change]:
    judges: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
    for copy in copies:
        judges.put(_start_judge(copy))
    done = iter(range(1, len(chosen) + 1))

    def survives(change: Change) -> bool:
        groups = recorded.tests_of(change)
        code = next((code for tests in groups if (code := _tried_twice(judges, change, tests, recorded)) != 0), 0)
        if code and code > 0 and code not in NOTICED:
            raise RuntimeError(f"the tests did not run: exit code {code} at {change.name}")
        number = next(done)
        if number % 50 == 0:
            print(f"{number} of {len(chosen)}", flush=True)
        if code == 0 and change.before:
            print(f"no test notices {change.path}:{change.line}", flush=True)
            print(f"    - {change.before}\n    + {change.after}", flush=True)
        return code == 0

    with ThreadPoolExecutor(len(copies)) as pool:
        kept = [change for change, lives in zip(chosen, pool.map(survives, chosen), strict=True) if lives]
    for _ in copies:
        _end_judge(judges.get())
    return kept


def _start_judge(copy: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mutants.judge"]
    return subprocess.Popen(
        command, cwd=copy, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _tried_twice(
    judges: SimpleQueue[subprocess.Popen[str]], change: Change, tests: Sequence[str], recorded: Recorded
) -> int | None:
    """Try once more if pytest itself has failed."""
    code = _tried(judges, change, tests, recorded)
    return _tried(judges, change, tests, recorded) if code == BROKEN else code


def _tried(
    judges: SimpleQueue[subprocess.Popen[str]], change: Change, tests: Sequence[str], recorded: Recorded
) -> int | None:
    """Return the exit code of the tests with the change; None: they did not end, which is noticed too."""
    usual = sum(recorded.seconds[name] for name in tests)
    job = {
        "path": change.path,
        "text": change.text,
        "tests": tests,
        "seconds": BASE_SECONDS + 5 * usual,
    }
    judge = judges.get()
    try:
        assert judge.stdin is not None
        assert judge.stdout is not None
        judge.stdin.write(json.dumps(job) + "\n")
        judge.stdin.flush()
        code: int | None = json.loads(judge.stdout.readline())["code"]
        return code
    finally:
        judges.put(judge)


def _end_judge(judge: subprocess.Popen[str]) -> None:
    assert judge.stdin is not None
    judge.stdin.close()
    judge.wait(60)


if __name__ == "__main__":
    sys.exit(report())
