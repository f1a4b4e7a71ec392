"""Limits on attempts of logins, codes and links, counted in Redis; without Redis in this process, more strictly.

Tokens that count once are remembered in the same way.

A failure of Redis never opens the limit and never becomes an error: the limit is then smaller. Redis stores hashes.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Network, ip_address, ip_network
from math import ceil
from threading import Lock

from redis import Redis
from redis.exceptions import RedisError

from portability.api.errors import PortabilityError
from portability.errors import TooManyAttempts
from portability.queue import REST_SECONDS

FAILURES = (RedisError, OSError, PortabilityError)
"""What a Redis that is away raises."""
KEPT_MAX = 10_000
"""Counters in this process; beyond this number the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class AttemptRule:
    """A number of attempts allowed in a number of seconds, for each counted thing."""

    name: str
    most: int
    window_seconds: int

    @property
    def most_alone(self) -> int:
        """The limit in a process that counts without Redis: there may be several such processes."""
        return max(1, self.most // 4)


LOGIN = AttemptRule("login", 60, 300)
"""Failed logins from one address: an office or a network has one address for many people."""
CODE = AttemptRule("code", 20, 600)
"""Wrong codes, and codes that are sent, for one address; each code has its own attempts too."""
ADDRESS = AttemptRule("address", 10, 3600)
"""Codes for people without account, for each network; each address and all together are counted in the database."""
NETWORK_BITS = {4: 24, 6: 48}
"""Length of the prefix that one subscriber or office usually has (RIPE-690 for IPv6)."""
CLIENT_BITS = 64
LINK = AttemptRule("link", 120, 60)
"""Wrong links for one address, and parts of a volume for one link."""
REQUEST = AttemptRule("request", 60, 60)
RETRY = AttemptRule("retry", 5, 3600)
"""Readings of what a copy lacks, for each copy: while one runs, the copy cannot be downloaded."""
INBOX = AttemptRule("inbox", 120, 60)
"""Webhooks from one address."""
PULL = AttemptRule("pull", 240, 60)
"""Requests of providers for tokens, and people whom they send, from one address."""
RECEIPT = AttemptRule("receipt", 20, 300)
"""For each request to a recipient for its keys."""


def client(address: str) -> str:
    """Return the address that a client's attempts are counted under; another text stays as it is.

    A machine with IPv6 has all addresses of a network of 64 bits (RFC 4291, 2.5.1): they count as one.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return address
    return str(found.ipv4_mapped or IPv6Network((int(found), CLIENT_BITS), strict=False).network_address)


def network(address: str) -> str:
    """Return the network of a client's address; another text is its own network."""
    try:
        version = ip_address(address).version
    except ValueError:
        return address
    return str(ip_network(f"{address}/{NETWORK_BITS[version]}", strict=False))


class AttemptLimits:
    """Counters of attempts. `salt` is the deployment's: without it a hash of an address could be guessed."""

    def __init__(self, connect: Callable[[], Redis], salt: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._connect, self._salt, self._clock = connect, salt.encode(), clock
        self._redis: Redis | None = None
        self._resting_until = 0.0
        self._alone: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def attempt(self, rule: AttemptRule, *counted: str) -> None:
        """Count one attempt, identified by `counted` (an address, a link). Raises TooManyAttempts."""
        self._check(rule, counted, step=1, spare=0)

    def check(self, rule: AttemptRule, *counted: str) -> None:
        """Check that another attempt is possible, without counting it. Raises TooManyAttempts."""
        self._check(rule, counted, step=0, spare=1)

    def was_used(self, token_id: str) -> bool:
        """Return whether a token that counts once was used; `use` says so."""
        key = self._token_key(token_id)
        if self._has_redis:
            try:
                return bool(self._open_redis().exists(key))
            except FAILURES:
                self._rest()
        with self._lock:
            return key in self._alone

    def use(self, token_id: str, *, seconds: int) -> None:
        """Remember that a token was used, at least until it is too old to be accepted.

        Args:
            token_id: its `jti`.
            seconds: the greatest age at which it is accepted.
        """
        key = self._token_key(token_id)
        if self._has_redis:
            try:
                self._open_redis().set(key, 1, ex=seconds)
            except FAILURES:
                self._rest()
            else:
                return
        self._count_alone(key, 1)

    def is_first_use(self, token_id: str, seconds: int) -> bool:
        """Remember that a token was used; returns whether it was not known, to one of two simultaneous callers only.

        Args:
            token_id: its `jti`, with who made it.
            seconds: the greatest age at which it is accepted.
        """
        key = self._token_key(token_id)
        if self._has_redis:
            try:
                return bool(self._open_redis().set(key, 1, ex=seconds, nx=True))
            except FAILURES:
                self._rest()
        return self._count_alone(key, 1) == 1

    def _token_key(self, token_id: str) -> str:
        named = f"token\0{token_id}".encode(errors="replace")
        return f"portability:limit:token:{hmac.digest(self._salt, named, hashlib.sha256).hex()}"

    def _check(self, rule: AttemptRule, counted: tuple[str, ...], *, step: int, spare: int) -> None:
        named = "\0".join((rule.name, *counted)).encode(errors="replace")
        key = f"portability:limit:{rule.name}:{hmac.digest(self._salt, named, hashlib.sha256).hex()}"
        count, most, rest_seconds = self._counted(key, rule, step)
        if count + spare > most:
            raise TooManyAttempts(retry_after_seconds=max(1, ceil(rest_seconds)))

    def _counted(self, key: str, rule: AttemptRule, step: int) -> tuple[int, int, float]:
        """Count; returns the count, its limit, and the seconds until the window ends."""
        if self._has_redis:
            try:
                count, rest_seconds = self._count_in_redis(key, rule, step)
            except FAILURES:
                self._rest()
            else:
                return count, rule.most, rest_seconds
        window, passed_seconds = divmod(self._clock(), rule.window_seconds)
        count = self._count_alone(f"{key}:{window:.0f}", step)
        return count, rule.most_alone, rule.window_seconds - passed_seconds

    @property
    def _has_redis(self) -> bool:
        return time.monotonic() >= self._resting_until

    def _rest(self) -> None:
        self._redis, self._resting_until = None, time.monotonic() + REST_SECONDS

    def _open_redis(self) -> Redis:
        if self._redis is None:
            self._redis = self._connect()
        return self._redis

    def _count_in_redis(self, key: str, rule: AttemptRule, step: int) -> tuple[int, float]:
        """Count in the window that began with the first attempt: by the clock of Redis, which all machines share."""
        with self._open_redis().pipeline(transaction=True) as pipeline:
            pipeline.set(key, 0, ex=rule.window_seconds, nx=True)
            pipeline.incrby(key, step)
            pipeline.pttl(key)
            _, count, rest_milliseconds = pipeline.execute()
        if rest_milliseconds < 0:  # it ended between two commands of an old Redis, and was made without an end
            self._open_redis().expire(key, rule.window_seconds)
        return int(count), abs(rest_milliseconds) / 1000

    def _count_alone(self, key: str, step: int) -> int:
        with self._lock:
            count = self._alone[key] = self._alone.pop(key, 0) + step
            while len(self._alone) > KEPT_MAX:
                self._alone.popitem(last=False)
            return count
