"""The `SharedState` of a real deployment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog
from redis import Redis
from redis.exceptions import LockError, RedisError
from sqlalchemy import Engine

from portability.api.errors import SourceUnavailable
from portability.api.shared import RENEWAL_SECONDS, Rate
from portability.errors import DatabaseUnavailable, NoSigningKey, QueueUnavailable
from portability.queue import connect, redis_url
from portability.settings import Settings
from portability.shared.rates import SharedRates
from portability.shared.renewals import alone
from portability.shared.secrets import SealedSecrets
from portability.shared.unstored import UnstoredSecrets

log = structlog.get_logger()


class DeploymentState:
    """Rates and locks are in Redis, secrets in the control database."""

    def __init__(self, redis: Redis, secrets: SealedSecrets, engine: Engine) -> None:
        self._redis = redis
        self._rates = SharedRates(redis)
        self._secrets = secrets
        self._engine = engine
        self._unstored = UnstoredSecrets(redis)
        self._renewals: list[threading.Event] = []

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
            if (stored := self._secrets.read(name)) and is_current(stored):
                return stored
            with self._in_progress(), alone(self._redis, name):
                return self._renewed(name, is_current, renew)

    def _renewed(self, name: str, is_current: Callable[[str], bool], renew: Callable[[str | None], str]) -> str:
        last = self._secrets.stored(name)
        if unstored := self._unstored.after(name, last):
            self._secrets.write(name, unstored)
            last = unstored
        stored = self._secrets.opened(last) if last else None
        if stored and is_current(stored):
            return stored
        seal = self._secrets.sealer()  # the source may accept the refresh token once
        stored = renew(stored)
        sealed = seal(stored)
        is_kept = self._unstored.keep(name, sealed, last)
        try:
            self._secrets.write(name, sealed)
        except DatabaseUnavailable:
            if not is_kept:
                raise
            log.warning("source.token_not_stored", exporter=name)
        else:
            self._unstored.forget(name)
        return stored

    @contextmanager
    def _in_progress(self) -> Iterator[None]:
        is_over = threading.Event()
        self._renewals.append(is_over)
        try:
            yield
        finally:
            self._renewals.remove(is_over)
            is_over.set()

    def finish(self) -> None:
        """Wait until no thread renews a secret, or is about to: a process that ends before loses the new token.

        No one else may wait for such a thread, because its call took too long.
        """
        ends_at = time.monotonic() + RENEWAL_SECONDS
        for is_over in self._renewals.copy():
            is_over.wait(max(0.0, ends_at - time.monotonic()))

    def close(self) -> None:
        """Close the connections when no thread renews a secret; they are opened again on demand."""
        self.finish()
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
