"""Where `portability pull begin --wait` listens: the browser's answer, and what else may come there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from servers.process import free_ports

from receiver.faults import CopyPending
from receiver.pulls.loopback import ReturnServer


@pytest.fixture
def address() -> str:
    (port,) = free_ports(1)
    return f"http://127.0.0.1:{port}/back"


def test_only_what_has_the_state_of_the_request_is_the_answer(address: str) -> None:
    """A page that the browser shows may send it here with anything: the person's own return still counts."""
    with ReturnServer(address) as server, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.answer, 30, "ours")
        others = ["", "?code=c", "?code=c&state=theirs", "?state=ours&state=ours", "?code=c&state=%C3%A9"]
        refused = [httpx.get(f"{address}{other}").status_code for other in others]

        taken = httpx.get(f"{address}?code=good&state=ours&iss=https%3A%2F%2Fa.example")

        assert (refused, taken.status_code) == ([404] * len(others), 200)
        assert waiting.result(30) == {"code": "good", "state": "ours", "iss": "https://a.example"}


def test_a_person_who_does_not_come_back_is_named(address: str) -> None:
    """The wait ends with an error that says how to go on."""
    with ReturnServer(address) as server, pytest.raises(CopyPending, match="not answered"):
        server.answer(0.01, "ours")
