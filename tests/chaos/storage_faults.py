"""Faults of the storage beyond those of its connection: objects that are gone, ETags that are wrong, a full bucket."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from http_faults import Break, HttpRequest, Rule
from sqlalchemy import select

from chaos.faults import Harm, Hit
from chaos.rows import Look
from chaos.stack import ChaosStack
from portability.api.errors import StorageError
from portability.database import models
from portability.database.engine import reading
from portability.errors import DatabaseUnavailable
from portability.requests.states import VolumeState

VOLUME = models.volume
NARROW_SECONDS = 2.0


def object_lost(stack: ChaosStack, look: Look, chance: Random) -> Hit | None:
    """Delete a volume of an export that is not closed yet."""
    stored = select(VOLUME.c.export_id, VOLUME.c.object_key).where(
        VOLUME.c.export_id.in_(look.open), VOLUME.c.state == VolumeState.STORED
    )
    try:
        with reading(stack.engine) as connection:
            found = connection.execute(stored.order_by(VOLUME.c.id)).all()
        if not found:
            return None
        chosen = chance.choice(found)
        stack.storage.delete(chosen.object_key)
    except (DatabaseUnavailable, StorageError):
        return None
    stack.happened.taken.add(chosen.export_id)
    return Hit()


def _rule(how: Break, fits: Callable[[HttpRequest], bool], most: int, seconds: float = 0) -> Harm:
    def harm(stack: ChaosStack, _look: Look, chance: Random) -> Hit | None:
        assert stack.http is not None
        stack.http.rules.append(Rule(how, fits, chance.randint(1, most), seconds))
        return Hit()

    return harm


def _is_archive(request: HttpRequest) -> bool:
    return "/archives/" in request.path


ON_STORAGE: dict[str, Harm] = {
    "object_lost": object_lost,
    "etag_lies": _rule(Break.LIE, lambda request: _is_archive(request) and request.method == "HEAD", 6),
    "s3_narrow": _rule(
        Break.NARROW, lambda request: _is_archive(request) and request.method == "PUT", 2, NARROW_SECONDS
    ),
    "bucket_full": _rule(Break.FULL, lambda request: _is_archive(request) and request.method in {"PUT", "POST"}, 6),
}
