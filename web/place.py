"""Where a request is answered: settings, database, storage and queue of this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated

import orjson
from fastapi import Depends, Request
from redis import Redis
from sqlalchemy import Connection, Engine

from portability import notice, plugins, register
from portability.api import Exporter, SubjectKind
from portability.db import reading, writing
from portability.errors import QueueUnavailable
from portability.limits import Limits
from portability.queue import connect, open_queue, redis_url, wake
from portability.settings import Settings
from portability.sources import PlatformSources
from portability.storage import Storage
from web.provider import Provider


@dataclass(frozen=True)
class Place:
    """One process's connections; each is opened once and used by all its threads."""

    settings: Settings
    engine: Engine
    storage: Storage
    provider: Provider | None
    """Who logs people in; none on the embedded stack."""
    salt: str = field(repr=False)
    """The deployment's: what is counted of people is counted under a hash."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with reading(self.engine) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with writing(self.engine) as connection:
            yield connection

    @cached_property
    def redis(self) -> Redis:
        """Raises QueueUnavailable where the embedded stack is not up."""
        return connect(redis_url(self.settings))

    @cached_property
    def limits(self) -> Limits:
        """Counters of tries; stricter where Redis is away."""
        return Limits(lambda: connect(redis_url(self.settings)), self.salt)

    @cached_property
    def exporters(self) -> Mapping[str, Exporter]:
        """What is installed; nothing is read with it here."""
        return plugins.load_exporters(PlatformSources(self.settings))

    @cached_property
    def offered(self) -> Sequence[str]:
        """Exporters that have something of a person with an account."""
        return [name for name, exporter in self.exporters.items() if SubjectKind.USER in exporter.subject_kinds]

    @property
    def notice(self) -> notice.Register:
        """What people are told of the processing. Raises NoticeHole."""
        return notice.load(self.settings.notice_dir)

    @cached_property
    def rights(self) -> Sequence[Mapping[str, tuple[str, str]]]:
        """What a person may do beside asking for a copy: of each language (title, how), as in every notice."""
        contact = self.settings.contact or self.notice.controller.contact
        return [
            {one: (getattr(right.title, one), right.told(one, contact)) for one in notice.LANGUAGES}
            for right in self.notice.rights.values()
        ]

    @cached_property
    def register(self) -> bytes:
        """The dataset register as it is published."""
        return orjson.dumps(register.document(self.exporters, plugins.load_all_formats(), self.notice))

    def wake(self, export_id: str) -> None:
        """Have a worker begin at once; where Redis is away the clock does it later, and nobody has to know."""
        with suppress(QueueUnavailable):
            wake(open_queue(self.redis), export_id)


def _place(request: Request) -> Place:
    place: Place = request.app.state.place
    return place


Here = Annotated[Place, Depends(_place)]
