"""The `SharedState` of a real deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from redis import Redis
from redis.exceptions import LockError, RedisError
from sqlalchemy import Engine

from portability.api.errors import SourceUnavailable
from portability.api.shared import RENEWAL_SECONDS, Rate
from portability.errors import DatabaseUnavailable, NoSigningKey, QueueUnavailable
from portability.queue import connect, redis_url
from portability.settings import Settings
from portability.shared.rates import SharedRates
from portability.shared.secrets import SealedSecrets

LOCK = "portability:renew"
LEASE_SECONDS = 2 * RENEWAL_SECONDS
"""How long a renewal keeps its lock at most: twice its time limit, so that no second worker renews meanwhile."""


class DeploymentState:
    """Rates and locks are in Redis, secrets in the control database."""

    def __init__(self, redis: Redis, secrets: SealedSecrets, engine: Engine) -> None:
        self._redis = redis
        self._rates = SharedRates(redis)
        self._secrets = secrets
        self._engine = engine

    def take(self, rates: Sequence[Rate]) -> float:
        """Take one call of every rate and return 0, or return the seconds to wait. Raises SourceUnavailable."""
        with _outages():
            return self._rates.take(rates)

    def pause(self, bucket: str, seconds: float) -> None:
        """Stop the calls of a bucket for some seconds. Raises SourceUnavailable."""
        with _outages():
            self._rates.pause(bucket, seconds)

    def secret(self, name: str, is_current: Callable[[str], bool], renew: Callable[[str | None], str]) -> str:
        """Return a current secret; one worker renews it. Raises SourceUnavailable, and what `renew` raises."""
        with _outages():
            stored = self._secrets.read(name)
            if stored is not None and is_current(stored):
                return stored
            lock = self._redis.lock(f"{LOCK}:{name}", timeout=LEASE_SECONDS, blocking_timeout=LEASE_SECONDS)
            with lock:
                stored = self._secrets.read(name)
                if stored is None or not is_current(stored):
                    self._secrets.check()  # the source may accept the refresh token once
                    stored = renew(stored)
                    self._secrets.write(name, stored)
                return stored

    def close(self) -> None:
        """Close the connections; they are opened again on demand."""
        self._redis.connection_pool.disconnect()
        self._engine.dispose()


def open_state(settings: Settings, engine: Engine) -> DeploymentState:
    """Open the state of a deployment. Raises SourceUnavailable if the embedded Valkey is down."""
    try:
        redis = connect(redis_url(settings))
    except QueueUnavailable as error:
        raise SourceUnavailable(str(error), hint=error.hint) from None
    return DeploymentState(redis, SealedSecrets(engine, settings.keys), engine)


@contextmanager
def _outages() -> Iterator[None]:
    try:
        yield
    except LockError:
        raise SourceUnavailable("another worker renews the token of this source") from None
    except RedisError as error:
        raise SourceUnavailable(f"Redis, which counts the calls of sources, fails: {type(error).__name__}") from None
    except DatabaseUnavailable as error:
        raise SourceUnavailable(f"the control database, which has the tokens of sources, fails: {error}") from None
    except NoSigningKey as error:
        raise SourceUnavailable(f"the tokens of sources cannot be sealed: {error}", hint=error.hint) from None
