"""The kit waits where a sender says that it has too many requests."""

from __future__ import annotations

import httpx

from receiver.conformance.patience import LONGEST_SECONDS, PatientTransport


def waits(*answers: httpx.Response) -> tuple[int, list[float]]:
    """The status that a client gets, and how long it has waited."""
    left, slept = [*answers], list[float]()
    transport = httpx.MockTransport(lambda _request: left.pop(0))
    with httpx.Client(transport=PatientTransport(transport, slept.append)) as client:
        return client.get("https://sender.example/").status_code, slept


def test_a_request_is_repeated_after_the_stated_time() -> None:
    """Retry-After in seconds is kept; without it the kit waits 5 seconds."""
    answers = [httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(429), httpx.Response(200)]

    assert waits(*answers) == (200, [7, 5])


def test_a_wait_that_is_too_long_ends_it() -> None:
    """The answer 429 is then what was seen."""
    for stated in (str(LONGEST_SECONDS + 1), "9" * 5000):
        assert waits(httpx.Response(429, headers={"Retry-After": stated})) == (429, [])
