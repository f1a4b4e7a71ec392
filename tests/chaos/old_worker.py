"""A worker of 0.1.0 beside the new workers: the statements that it ran, which know no token.

Its own code is not in the history of this repository. These are the statements of the last commit without tokens, of
portability/requests/transition.py and worker/claim, with the version of slices that 0.1.0 knew.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from functools import partial
from random import Random

from sqlalchemy import text

from chaos.faults import Hit
from chaos.rows import Look
from chaos.stack import LEASE_SECONDS, ChaosStack
from portability.api.errors import StorageError
from portability.database.engine import writing
from portability.errors import DatabaseUnavailable

OLD_VERSION = 1
"""Of slices: what 0.1.0 accepted and what it claims."""
LOOK_SECONDS, GIVE_UP_SECONDS = 0.2, LEASE_SECONDS + 10
_CHOOSE = text(
    "select export_id, number from slice where export_id = any(:exports) and state = 'open' "
    "and (lease_until is null or lease_until < clock_timestamp()) and version > :version limit 1 "
    "for update skip locked"
)
_ACCEPTED_BY_OLD = text(
    "update slice set version = :version, token = null where export_id = :export and number = :number"
)
_CLAIM = text(
    "update slice set owner = 'old:1', fence = fence + 1, attempts = attempts + 1, claimed_at = clock_timestamp(), "
    "lease_until = clock_timestamp() + make_interval(secs => :seconds), progress = null "
    "where export_id = :export and number = :number and state = 'open' "
    "and (lease_until is null or lease_until < clock_timestamp()) and version <= :version returning fence"
)
_BEGIN_VOLUME = text(
    "insert into volume "
    "(export_id, number, slice, revision, fence, object_key, upload_id, closing, name, state, began_at) "
    "values (:export, :volume, :number, 1, :fence, :key, '', false, 'of an old worker', 'writing', clock_timestamp())"
)
_WRITE = text(
    "update slice set fence = :fence, owner = null, lease_until = null, state = 'done' where export_id = :export "
    "and number = :number and fence = :fence and state = 'open' and lease_until is not null"
)
_FENCE = text("select fence from slice where export_id = :export and number = :number")


@dataclass(frozen=True, slots=True)
class _OldClaim:
    export: str
    number: int
    fence: int
    histories: int
    """How many were lost when it was made."""


def old_worker(stack: ChaosStack, look: Look, _chance: Random) -> Hit | None:
    """It claims no slice of a new release. It claims one that 0.1.0 accepted, is late, and changes nothing."""
    try:
        claim = _claim(stack, look)
    except DatabaseUnavailable:
        return None
    if claim is None:
        return None
    _late(stack, claim, time.monotonic() + GIVE_UP_SECONDS)
    return Hit()


def _claim(stack: ChaosStack, look: Look) -> _OldClaim | None:
    with writing(stack.engine) as connection:
        exports = list(look.open)
        found = connection.execute(_CHOOSE, {"exports": exports, "version": OLD_VERSION}).one_or_none()
        if found is None:
            return None
        at = {"export": found.export_id, "number": found.number, "version": OLD_VERSION}
        if connection.execute(_CLAIM, {**at, "seconds": LEASE_SECONDS}).rowcount:
            stack.happened.wrong.append(f"doubled: an old worker has claimed a slice of {found.export_id}")
        connection.execute(_ACCEPTED_BY_OLD, at)
        fence = connection.execute(_CLAIM, {**at, "seconds": LEASE_SECONDS}).scalar_one()
        number = 90_000 + secrets.randbelow(9_000)
        key = f"{found.export_id}/{number:05}.{fence}.{secrets.token_hex(4)}.zip"
        connection.execute(_BEGIN_VOLUME, {**at, "volume": number, "fence": fence, "key": key})
    try:
        upload = stack.storage.begin(key)
        upload.write(b"of an old worker")
        upload.complete()
    except StorageError:
        pass  # then it has stored nothing
    return _OldClaim(found.export_id, found.number, fence, len(stack.happened.cuts))


def _late(stack: ChaosStack, claim: _OldClaim, until: float) -> None:
    """Once another worker has claimed the slice, try the write that comes first in each transaction of 0.1.0."""
    if claim.histories != len(stack.happened.cuts):
        return  # its claim is of another history, where the same fence is given again: ADR 47
    at = {"export": claim.export, "number": claim.number}
    fence: int | None = claim.fence
    try:
        with writing(stack.engine) as connection:
            fence = connection.scalar(_FENCE, at)
            if fence is not None and fence > claim.fence:
                changed = connection.execute(_WRITE, {**at, "fence": claim.fence}).rowcount
                stack.happened.counts["late writes of an old worker"] += 1
                if changed:
                    stack.happened.wrong.append(f"doubled: an old worker has changed a slice of {claim.export}")
                    connection.rollback()
                return
    except DatabaseUnavailable:
        pass
    if fence is None or time.monotonic() > until:
        return
    stack.later(LOOK_SECONDS, partial(_late, stack, claim, until))
