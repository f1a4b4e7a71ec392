from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo import children
from demo.children import Child, stop_all, wait_until_ready
from portability.errors import ProcessEnded, Timeout

READY = "from portability.processes import report_ready\nimport time\nreport_ready()\ntime.sleep(60)\n"
SLEEPS = "import time\ntime.sleep(60)\n"
REFUSED = "error: no key is active [no_signing_key]  hint: `portability keys new`"

StartChild = Callable[[str], Child]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartChild]:
    """Start a process that runs these lines of Python; it ends with the test."""
    started: list[Child] = []

    def child(code: str) -> Child:
        arguments = [sys.executable, "-P", "-c", code]
        number = len(started)
        made = Child(f"child-{number}", arguments, tmp_path / f"{number}.log", tmp_path / f"{number}.ready", ())
        started.append(made)
        return made

    yield child
    stop_all(started)


def test_processes_that_report_are_ready(start: StartChild) -> None:
    """Each reports for itself."""
    wait_until_ready([start(READY), start(READY)], lambda: False)


def test_a_process_that_ends_at_its_start_is_reported_with_its_error(start: StartChild, tmp_path: Path) -> None:
    """Its message, its code, its hint, its log and its exit code; another process is not waited for meanwhile."""
    code = f"import sys\nprint('starting')\nprint({REFUSED!r}, file=sys.stderr)\nprint('bye')\nsys.exit(2)\n"
    with pytest.raises(ProcessEnded) as caught:
        wait_until_ready([start(SLEEPS), start(code)], lambda: False)
    assert str(caught.value) == "child-1 ended with exit code 2 while it started: no key is active [no_signing_key]"
    assert caught.value.hint == f"`portability keys new`; its log is {tmp_path / '1.log'}"
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("code", "seen", "status"),
    [
        ("raise KeyError('x')", "ended with exit code 1 while it started: KeyError: 'x'", 1),
        ("import os\nos.kill(os.getpid(), 9)", "was killed by signal 9 while it started: it printed nothing", 1),
        ("pass", "ended with exit code 0 while it started: it printed nothing", 1),
        ("import sys\nsys.exit(3)", "ended with exit code 3 while it started: it printed nothing", 3),
    ],
)
def test_other_ends_are_reported_too(start: StartChild, code: str, seen: str, status: int) -> None:
    """A traceback by its last line, a signal by its number; an end without a fault stops the stack too."""
    with pytest.raises(ProcessEnded) as caught:
        wait_until_ready([start(code)], lambda: False)
    assert str(caught.value) == f"child-0 {seen}"
    assert caught.value.exit_status == status


def test_only_what_was_printed_since_the_start_counts(start: StartChild, tmp_path: Path) -> None:
    """A log continues over several starts; an error of an earlier start is not the reason of a later end."""
    (tmp_path / "0.log").write_text(f"{REFUSED}\n")
    child = start("print('now')")
    child.process.wait(30)
    assert child.last_line() == "now"
    child.start()
    child.process.wait(30)
    assert child.last_line() == "now"


def test_a_process_that_never_reports_is_given_up(start: StartChild, monkeypatch: pytest.MonkeyPatch) -> None:
    """After READY_SECONDS, with its log."""
    monkeypatch.setattr(children, "READY_SECONDS", 0.2)
    with pytest.raises(Timeout, match="child-0 was not ready") as caught:
        wait_until_ready([start(SLEEPS)], lambda: False)
    assert "0.log" in caught.value.hint


def test_a_stack_that_is_stopped_does_not_wait(start: StartChild) -> None:
    """Ctrl-C counts while processes start."""
    wait_until_ready([start(SLEEPS)], lambda: True)


def test_a_process_that_does_not_stop_is_killed(start: StartChild, monkeypatch: pytest.MonkeyPatch) -> None:
    """After STOP_SECONDS."""
    monkeypatch.setattr(children, "STOP_SECONDS", 0.2)
    deaf = start("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY)
    wait_until_ready([deaf], lambda: False)
    stop_all([deaf])
    assert deaf.process.returncode == -signal.SIGKILL
