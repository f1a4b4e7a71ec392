"""Tries are counted in Redis; without it in the process, and then fewer are let through."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
import redis
from redis import Redis
from redis.exceptions import ConnectionError as RedisAway
from simultaneous import in_threads
from workers import until

from portability.delivery.limits import KEPT_MAX, AttemptLimits, AttemptRule, client, network
from portability.errors import QueueUnavailable, TooManyAttempts

RULE = AttemptRule("code", 8, 60)
SALT = "5a" * 32


def away() -> Redis:
    raise RedisAway("connection refused")


def let_through(limits: AttemptLimits, *counted: str, tries: int = 20) -> int:
    """Return how many of `tries` attempts are allowed."""
    count = 0
    for _ in range(tries):
        try:
            limits.attempt(RULE, *counted)
        except TooManyAttempts as refused:
            assert 0 < refused.retry_after_seconds <= RULE.window_seconds + 1  # noqa: PT017  # counted, not expected
        else:
            count += 1
    return count


@pytest.fixture
def connect(redis_url: str) -> Callable[[], Redis]:
    return lambda: redis.Redis.from_url(redis_url)


def test_so_many_tries_in_a_window(connect: Callable[[], Redis]) -> None:
    """Counted together by all processes, apart for each that is counted; the next window begins again.

    The clocks of two machines differ by many windows: that of Redis counts.
    """
    one, other = AttemptLimits(connect, SALT), AttemptLimits(connect, SALT, lambda: time.monotonic() + 86_400)
    assert let_through(one, "192.0.2.1", tries=5) + let_through(other, "192.0.2.1") == RULE.most
    assert let_through(one, "192.0.2.2") == RULE.most
    assert let_through(one, "192.0.2", ".1") == RULE.most
    for key in connect().scan_iter():
        connect().pexpire(key, 1)
    until(lambda: not [*connect().scan_iter()], "the windows have ended")
    assert let_through(other, "192.0.2.1") == RULE.most


def test_a_window_alone_ends_too() -> None:
    """Without Redis a process counts by its own clock."""
    clock = [1000.0]
    limits = AttemptLimits(away, SALT, lambda: clock[0])
    assert let_through(limits, "192.0.2.1") == RULE.most_alone
    clock[0] += RULE.window_seconds
    assert let_through(limits, "192.0.2.1") == RULE.most_alone


def test_redis_sees_hashes_alone(connect: Callable[[], Redis]) -> None:
    """No address stands in a key, nor a hash of it that could be guessed; and each key ends by itself."""
    AttemptLimits(connect, SALT).attempt(RULE, "192.0.2.1")
    AttemptLimits(connect, "00" * 32).attempt(RULE, "192.0.2.1")
    keys = [str(key, "ascii") for key in connect().scan_iter()]
    assert len(keys) == 2
    assert all(re.fullmatch("portability:limit:code:[0-9a-f]{64}", key) for key in keys)
    assert all(0 < connect().ttl(key) <= 2 * RULE.window_seconds for key in keys)


@pytest.mark.parametrize("error", [RedisAway("gone"), OSError("gone"), QueueUnavailable("gone")])
def test_without_redis_fewer_are_let_through(error: Exception) -> None:
    """Never open, never an error: a limit that cannot be counted in common is a smaller one."""

    def fail() -> Redis:
        raise error

    assert let_through(AttemptLimits(fail, SALT), "192.0.2.1") == RULE.most_alone
    assert 0 < RULE.most_alone < RULE.most


def test_a_redis_that_goes_away_is_not_waited_for_at_every_try() -> None:
    """After a failure it is left alone for some seconds."""
    asked: list[int] = []

    def fail() -> Redis:
        asked.append(1)
        return away()

    limits = AttemptLimits(fail, SALT)
    let_through(limits, "192.0.2.1", tries=50)
    assert len(asked) == 1


def test_what_is_counted_alone_is_bounded() -> None:
    """A flood of addresses does not fill the memory."""
    limits = AttemptLimits(away, SALT)
    for number in range(KEPT_MAX + 100):
        limits.attempt(RULE, str(number))
    assert len(limits._alone) == KEPT_MAX


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("2001:db8:1:3::9", "2001:db8:1:3::"),
        ("::1", "::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::"),
        ("testclient", "testclient"),
    ],
)
def test_a_machine_is_counted_once(address: str, counted: str) -> None:
    """By its address, or by its network of 64 bits; its wider network is the same for both."""
    assert client(address) == counted
    assert network(client(address)) == network(address if "ffff" not in address else counted)


def test_a_token_counts_once_in_all_processes(connect: Callable[[], Redis]) -> None:
    """Redis has a hash of it, until it would be too old; another deployment does not know it."""
    one, other, foreign = (AttemptLimits(connect, salt) for salt in (SALT, SALT, "00" * 32))
    assert not one.was_used("jti-1")
    one.use("jti-1", seconds=330)
    assert [each.was_used("jti-1") for each in (one, other, foreign)] == [True, True, False]
    assert not other.was_used("jti-2")
    (key,) = connect().scan_iter()
    assert re.fullmatch(b"portability:limit:token:[0-9a-f]{64}", key)
    assert 320 < connect().ttl(key) <= 330


def test_a_token_counts_once_without_redis() -> None:
    """Then each process remembers those that it has seen."""
    limits = AttemptLimits(away, SALT)
    assert not limits.was_used("jti-1")
    limits.use("jti-1", seconds=330)
    assert limits.was_used("jti-1")
    assert not limits.was_used("jti-2")


@pytest.mark.parametrize("is_there", [True, False])
def test_of_many_simultaneous_uses_one_is_the_first(connect: Callable[[], Redis], is_there: bool) -> None:
    """In Redis for all processes, and without it for all threads of a process."""
    limits = AttemptLimits(connect if is_there else away, SALT)
    assert sorted(in_threads(8, lambda _number: limits.is_first_use("jti-1", 120)))[-2:] == [False, True]
    assert limits.is_first_use("jti-2", 120)
    if is_there:
        assert not AttemptLimits(connect, SALT).is_first_use("jti-1", 120)


def test_the_smallest_rule_lets_one_through_alone() -> None:
    """Never none: a person without Redis can still try once."""
    assert AttemptRule("x", 1, 60).most_alone == 1
