from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from receiver.verify.scratch import PREFIX, scratch_folder, sweep

RUN = """
import signal
import sys
from pathlib import Path
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
from receiver.verify.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "secret").write_text("plaintext")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_private_and_goes_at_the_end(tmp_path: Path) -> None:
    """Also if the block fails."""
    modes: list[int] = []

    def fail() -> None:
        with scratch_folder(tmp_path) as folder:
            modes.append(folder.stat().st_mode & 0o777)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert modes == [0o700]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_plaintext_does_not_stay_after_a_kill(tmp_path: Path, by: signal.Signals) -> None:
    """SIGTERM and a closed terminal remove it; after SIGKILL the next run does. A folder of a running process stays."""
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        assert sweep(tmp_path) == 0
        process.send_signal(by)
        process.wait(30)
    assert len(list(tmp_path.glob(f"{PREFIX}*"))) == (by == signal.SIGKILL)
    with scratch_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """A command under `nohup` outlives its terminal, and what the program does about a signal comes back."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with scratch_folder(tmp_path):
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link with such a name, put there by another user, leads nowhere."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "kept").write_text("")
    (tmp_path / f"{PREFIX}x").symlink_to(tmp_path / "own")

    assert sweep(tmp_path) == 0
    assert (tmp_path / "own" / "kept").exists()
