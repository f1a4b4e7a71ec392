"""Processes of an embedded stack as forks, for tests whose rule is not about these processes.

With an interpreter of its own each imports the product again, for three seconds of CPU time. tests/integration/
test_embedded.py shows that `portability up` starts such processes.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import forks

from demo import children

NAME = "TESTS_FORK_CHILDREN"
"""Environment variable of a command line whose stack consists of forks."""


def fork_through(requests: socket.socket) -> None:
    """Start the processes of this process's stack as forks of the server that takes these requests."""

    def start(
        arguments: Sequence[str],
        log: Path,
        *,
        inherits: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> forks.Fork:
        own = {name: value for name, value in os.environ.items() if name != NAME}
        command = arguments[arguments.index(forks.COMMAND_LINE) + 1 :]
        with log.open("ab") as output:
            return forks.start(command, {**own, **(environment or {})}, output, inherits=inherits, server=requests)

    children.start_process = start  # type: ignore[assignment]  # a Fork is like a Popen
