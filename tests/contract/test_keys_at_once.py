"""Changes of signing keys that begin at the same moment: one key of a purpose signs, and a key ends once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from migrated import migrate
from sqlalchemy import Connection, Engine, select

from portability.database.engine import now, reading, writing
from portability.errors import WrongState
from portability.trust import audit, keys

OPERATOR = "operator:test"
SHORT_SECONDS = 0.5


def at_once(engine: Engine, act: Callable[[Connection], Any]) -> list[Any]:
    """Return what two transactions return, of which the second begins before the first ends; an error is a result."""

    def alone() -> Any:
        with writing(engine) as connection:
            return act(connection)

    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as connection:
            first = act(connection)
            second = pool.submit(alone)
            wait([second], SHORT_SECONDS)
        return [first, second.exception() or second.result()]


def revoke_alone(engine: Engine, kid: str) -> None:
    with writing(engine) as connection:
        keys.revoke(connection, kid, actor=OPERATOR)


def test_one_of_the_keys_that_are_made_at_once_signs(control_engine: Engine, tmp_path: Path) -> None:
    """Two commands `keys new` at once make two keys, of which the first is retired, like the key before them."""
    migrate(control_engine)
    with writing(control_engine) as connection:
        before = keys.new(connection, tmp_path, actor=OPERATOR)

    made = at_once(control_engine, lambda connection: keys.new(connection, tmp_path, actor=OPERATOR))

    with reading(control_engine) as connection:
        rows = keys.listed(connection, "archive")
    assert [row["kid"] for row in rows] == [before, *made]
    assert [bool(row["retired_at"]) for row in rows] == [True, True, False]


def test_a_revocation_waits_for_a_commit_that_has_checked_the_key(control_engine: Engine, tmp_path: Path) -> None:
    """What the commit stores is older than the end of the key, also if the revocation began before it ended."""
    migrate(control_engine)
    with writing(control_engine) as connection:
        kid = keys.new(connection, tmp_path, actor=OPERATOR)

    with ThreadPoolExecutor(1) as pool:
        with writing(control_engine) as connection:
            is_valid = keys.revoked(connection, purpose="archive", used=kid) == []
            revoking = pool.submit(revoke_alone, control_engine, kid)
            wait([revoking], SHORT_SECONDS)
            stored_at = connection.execute(select(now())).scalar_one()
        revoking.result()

    with reading(control_engine) as connection:
        [row] = keys.listed(connection, "archive")
    assert is_valid
    assert stored_at < row["revoked_at"]


@pytest.mark.parametrize("end", [keys.retire, keys.revoke])
def test_a_key_ends_once(control_engine: Engine, tmp_path: Path, end: Callable[..., None]) -> None:
    """Of two commands at once that end a key one is refused, and the audit log has one event."""
    migrate(control_engine)
    with writing(control_engine) as connection:
        kid = keys.new(connection, tmp_path, actor=OPERATOR)

    first, second = at_once(control_engine, lambda connection: end(connection, kid, actor=OPERATOR))

    audit.chain_all(control_engine)
    with reading(control_engine) as connection:
        actions = [event["action"] for event in audit.events(connection)]
    assert (first, type(second)) == (None, WrongState)
    assert len(actions) == len({"key.created", "key.retired or key.revoked"})
