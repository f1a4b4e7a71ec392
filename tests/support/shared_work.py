"""Work that the tests of a process do once: compiled statements, TLS contexts, and objects that the tests only read.

Without it the tests take half as much CPU time again. Processes that tests start are as in a deployment.
"""

from __future__ import annotations

import gc
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import httpx
import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache

STATEMENTS_MAX = 1500
COLLECT_AFTER = 20_000
"""Container objects before the garbage collector runs; an hour of tests makes many, and most outlive their test."""
DIALECT_PARTS = (
    "paramstyle",
    "server_version_info",
    "default_schema_name",
    "label_length",
    "is_mariadb",
    "_backslash_escapes",
    "_server_ansiquotes",
    "use_insertmanyvalues",
    "_json_serializer",
    "_json_deserializer",
)


def spare_collector() -> None:
    """Keep the garbage collector from what is in memory now: modules, and the collected tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


_compiled: LRUCache[Any, Any] = LRUCache(STATEMENTS_MAX)
_types: WeakKeyDictionary[object, tuple[object, ...]] = WeakKeyDictionary()
"""The types of the last result of each compiled statement, as the driver names them."""
_shared = [True]


@contextmanager
def own_statements() -> Iterator[None]:
    """Let each engine compile its statements itself, for tests about what has been compiled."""
    _shared[0] = False
    yield
    _shared[0] = True


@contextmanager
def sharing() -> Iterator[None]:
    """Share compiled statements between engines for alike databases, and the TLS context between clients of httpx."""

    def share(connection: Connection) -> None:
        engine = connection.engine
        if _shared[0]:
            engine._compiled_cache = _compiled
        elif engine._compiled_cache is _compiled:
            engine._compiled_cache = LRUCache(STATEMENTS_MAX)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DefaultDialect, "__eq__", _are_alike)  # a dialect is a part of the key of a compiled statement
        patch.setattr(DefaultDialect, "__hash__", lambda dialect: hash(type(dialect)))
        event.listen(Engine, "engine_connect", share)
        event.listen(Engine, "after_cursor_execute", _forget_other_types)
        patch.setattr("httpx._transports.default.create_ssl_context", _once(httpx.create_ssl_context))
        yield
        event.remove(Engine, "engine_connect", share)
        event.remove(Engine, "after_cursor_execute", _forget_other_types)


def _forget_other_types(*executed: Any) -> None:  # as SQLAlchemy calls listeners
    """Let a shared statement convert its results anew if the tables of this database have other types.

    SQLAlchemy keeps the conversions with the compiled statement, as the types of its first result need them.
    """
    _connection, cursor, _statement, _parameters, context, _many = executed
    compiled = context.compiled
    if compiled and cursor.description:
        types = tuple(column[1] for column in cursor.description)
        if _types.setdefault(compiled, types) != types:
            compiled._cached_metadata = None
            _types[compiled] = types


def _are_alike(one: DefaultDialect, other: object) -> bool:
    return one is other or (type(one) is type(other) and _parts(one) == _parts(other))


def _parts(dialect: object) -> list[Any]:
    return [getattr(dialect, name, None) for name in DIALECT_PARTS]


def _once(make: Callable[..., ssl.SSLContext]) -> Callable[..., ssl.SSLContext]:
    """Make the context of clients with httpx's own trust and no certificate once: it takes 20 ms."""
    usual = cache(make)

    def context(verify: object = True, cert: object = None, trust_env: bool = True) -> ssl.SSLContext:
        return usual() if verify is True and cert is None else make(verify, cert, trust_env)

    return context
