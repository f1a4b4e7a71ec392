"""Which test runs which line: one run of the judging tests without a change."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from mutants.changes import Change

UNIT = "tests/unit"
CONTRACT = "tests/contract"
CONTRACTS = (
    *("address_codes", "address_subjects", "ambiguous", "announce", "attestations", "audit_comparison", "belonging"),
    *("claims", "deliver", "directory", "disclosures", "documents", "erasure_holds", "erasures", "expire"),
    "extensions",
    *("links", "lock_order", "lost", "notice_period", "notify", "own_records", "people", "pseudonyms", "purge"),
    *("referrals", "rehearsal", "request_log", "reviews", "shared_addresses", "sole_addresses", "sweep"),
    *("sweep_clock", "transfers"),
)
"""The contract suites of the rooms that are changed; they run on SQLite only."""
PARTS = ((UNIT,), tuple(f"{CONTRACT}/test_{name}.py" for name in CONTRACTS))
"""Run side by side."""
SECONDS_MAX = {UNIT: 8.0, CONTRACT: 16.0}
"""How long the tests of one change may have run when they were recorded."""
NEAR_LINES = 6
"""A line at this distance counts half."""
FEW_TESTS = 400
"""A line that more tests run says nothing about them."""
NAMED_AFTER, OF_ROOM = 0.1, 0.01
"""What it counts that a test is named after the module, or is of its room: as the line itself, if 10 or 100 run it."""
START_SECONDS = 0.01
"""What a test costs beside its own time."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Which tests run which lines of a file, from one run without a change."""

    seconds: Mapping[str, float]
    lines: Mapping[str, Mapping[str, Sequence[str]]]

    def tests_of(self, change: Change) -> Sequence[Sequence[str]]:
        """Return the tests to run, the unit tests before the contract tests, each the most promising first.

        They are those that run the line. A test promises more if it runs what few tests run near it, because it is
        about that, and if it is fast. Of a line that runs at import, those that run the file. Tests of the room count a
        little, because a value that is cached is made in one test only. Of a table, those that run the module of
        the same name; without such a module, those of its folder.
        """
        by_line, nearness = self.lines.get(change.path, {}), self._nearness(change)
        running = {*by_line.get(str(change.line), ())} or {name for those in by_line.values() for name in those}
        names = running | self._of_room(change.path)
        if by_line.get(str(change.line)):
            nearness = {name: nearness.get(name, 0) if name in running else OF_ROOM / 100 for name in names}
        if change.path.endswith(".toml"):
            reader, room = change.path.replace(".toml", ".py"), change.path.rpartition("/")[0]
            place = reader if reader in self.lines else room
            names |= {
                n for path, lines in self.lines.items() if path.startswith(place) for t in lines.values() for n in t
            }
        return [tests for room in SECONDS_MAX if (tests := self._chosen(names, room, nearness))]

    def _of_room(self, path: str) -> set[str]:
        """Return the unit tests of the module's room, or of the nearest room above it that has some."""
        rooms = ({n for n in self.seconds if n.startswith(f"{UNIT}/{place}/test_")} for place in Path(path).parents)
        return next(filter(None, rooms), set[str]()) | self._named_after(path)

    def _named_after(self, path: str) -> set[str]:
        """Return the tests in files that are named after a module or its package."""
        own, place = f"/test_{Path(path).stem}", Path(path).parent
        package = f"{UNIT}/{place.parent}/test_{place.name}."
        return {name for name in self.seconds if own in name or name.startswith(package)}

    def _nearness(self, change: Change) -> Mapping[str, float]:
        """Return a number for each test that is larger if it runs lines near the change that few tests run."""
        found: dict[str, float] = defaultdict(float, dict.fromkeys(self._of_room(change.path), OF_ROOM))
        found |= dict.fromkeys(self._named_after(change.path), NAMED_AFTER)
        for line, names in self.lines.get(change.path, {}).items():
            nearness = 1 / (1 + abs(int(line) - change.line) / NEAR_LINES)
            for name in names if len(names) <= FEW_TESTS else ():
                found[name] += nearness / len(names)
        return found

    def _chosen(self, names: Collection[str], room: str, nearness: Mapping[str, float]) -> Sequence[str]:
        known = [name for name in names if name in self.seconds and name.startswith(room)]
        cost = {name: START_SECONDS + self.seconds[name] for name in known}
        ordered = sorted(known, key=lambda name: (-nearness.get(name, 0) / cost[name], cost[name], name))
        until = accumulate(cost[name] for name in ordered)
        return [name for name, total in zip(ordered, until, strict=True) if total <= SECONDS_MAX[room]]


def record(copies: Sequence[Path], target: Path, environment: Mapping[str, str]) -> Recorded:
    """Run the tests once without a change, unless the file says how it went. Raises CalledProcessError if one fails."""
    if not target.exists():
        print("running the tests once without a change", flush=True)
        parts = [target.with_suffix(f".{number}.json") for number in range(len(PARTS))]
        with ThreadPoolExecutor(len(PARTS)) as pool:
            [*pool.map(_record_part, copies, PARTS, parts, [environment] * len(PARTS))]
        target.write_text(json.dumps(_merged(map(_read, parts))))
    return _read(target)


def _read(target: Path) -> Recorded:
    return Recorded(**json.loads(target.read_text()))


def _record_part(copy: Path, tests: Sequence[str], target: Path, environment: Mapping[str, str]) -> None:
    plugins = ("mutants.recorder", "no:randomly", "no:xdist", "no:schemathesis", "no:faker")
    command = [sys.executable, "-m", "pytest", "-q", *(part for name in plugins for part in ("-p", name)), *tests]
    recording = {**environment, "RECORDED": str(target.absolute())}
    subprocess.run(command, cwd=copy, env=recording, stdout=subprocess.DEVNULL, check=True)


def _merged(parts: Iterable[Recorded]) -> Mapping[str, object]:
    seconds: dict[str, float] = {}
    lines: dict[str, dict[str, list[str]]] = {}
    for part in parts:
        seconds |= part.seconds
        for path, by_line in part.lines.items():
            for line, names in by_line.items():
                lines.setdefault(path, {}).setdefault(line, []).extend(names)
    return {"seconds": seconds, "lines": lines}
