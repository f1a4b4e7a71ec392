"""What answering a request needs: settings, database, storage and queue of this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Protocol

import orjson
from fastapi import Depends, Request
from redis import Redis
from sqlalchemy import Connection, Engine

from portability import plugins
from portability.api import JSON, Exporter, SubjectKind
from portability.api.storages import Storage
from portability.coverage import state
from portability.database.engine import reading, writing
from portability.database.steady_clock import SteadyClock
from portability.delivery.limits import AttemptLimits
from portability.law import dataset_register, notice
from portability.locale import languages
from portability.locale.translations import titles_of
from portability.queue import REQUEST_SECONDS, RequestWaker, connect, open_queue, redis_url
from portability.settings import Settings
from portability.signals.services import Services
from portability.sources import PlatformSources, declared_names, open_exporters
from web.brand import PageBrand
from web.measures import Measures
from web.observations import Observations
from web.outbound_requests import OutboundRequests
from web.provider import OpenIdProvider
from web.stream import RunningStreams


class WebhookAnswers(Protocol):
    """Answers that need keys which only the receiving side knows: to webhooks whose signature was checked."""

    def document(self) -> str:
        """Return the signed document about this provider. Raises NoSigningKey."""
        ...

    def to_challenge(self, body: bytes) -> str:
        """Return the proof that our keys and the webhook belong together. Raises BadInput, NoSigningKey."""
        ...

    def to_notice(self, body: bytes) -> str:
        """Return the statement that we have received a notice. Raises BadInput, NoSigningKey."""
        ...


@dataclass(frozen=True)
class AppContext:
    """The connections of a process; each is opened once and used by all threads."""

    settings: Settings
    engine: Engine
    storage: Storage
    provider: OpenIdProvider | None
    """The provider that people log in with; None on the embedded stack."""
    observations: Observations = field(repr=False)
    """Reads and refusals, for the audit log."""
    salt: str = field(repr=False)
    """The salt of the deployment: attempts of people are counted under a hash."""
    clock: SteadyClock = field(repr=False)
    """The time of the control database: the clock of this machine may be wrong."""
    answers: WebhookAnswers | None = field(default=None, repr=False)
    """None: this deployment receives no transfers."""
    streams: RunningStreams = field(default_factory=RunningStreams, repr=False)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with reading(self.engine) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with writing(self.engine) as connection:
            yield connection

    @cached_property
    def brand(self) -> PageBrand:
        """How the deployment presents itself on its pages."""
        return PageBrand.of(self.settings)

    @cached_property
    def redis(self) -> Redis:
        """The connection to Redis. Raises QueueUnavailable where the embedded stack does not run."""
        return connect(redis_url(self.settings), answer_seconds=REQUEST_SECONDS)

    @cached_property
    def measures(self) -> Measures:
        """The metrics of the deployment, as this process sees it."""
        services = Services(self.engine, lambda: open_queue(self.redis), lambda: self.storage)
        return Measures(self.engine, self.settings.keys, services)

    @cached_property
    def limits(self) -> AttemptLimits:
        """Counters of attempts; the limits are stricter while Redis is not available."""
        return AttemptLimits(lambda: connect(redis_url(self.settings), answer_seconds=REQUEST_SECONDS), self.salt)

    @cached_property
    def outbound(self) -> OutboundRequests:
        """The requests to other parties for which a caller waits."""
        return OutboundRequests()

    @cached_property
    def exporters(self) -> Mapping[str, Exporter]:
        """The exporters of the deployment; the web process reads no data with them."""
        return open_exporters(self.settings, PlatformSources(self.settings))

    @cached_property
    def source_titles(self) -> Mapping[str, Mapping[str, str]]:
        """What people call each exporter that has a title, by language."""
        return titles_of(self.exporters)

    def offered(self, kind: SubjectKind) -> Sequence[str]:
        """Return the names of the exporters that have data of a kind of subject."""
        return [name for name, exporter in self.exporters.items() if kind in exporter.subject_kinds]

    @property
    def notice(self) -> notice.Register:
        """The notice register: what people are informed of about the processing. Raises NoticeHole."""
        return notice.load(self.settings.notice_dir, reference=self.settings.has_reference)

    @cached_property
    def rights(self) -> Sequence[Mapping[str, tuple[str, str]]]:
        """What a person may do beside asking for a copy: of each language (title, how), as in every notice."""
        contact = self.settings.contact or self.notice.controller.contact
        return [
            {one: (right.title.read(one), right.how_with(contact).read(one)) for one in languages()}
            for right in self.notice.rights.values()
        ]

    @cached_property
    def _datasets(self) -> Mapping[str, JSON]:
        return dataset_register.document(self.exporters, plugins.load_all_formats(), self.notice)

    @property
    def register(self) -> bytes:
        """The dataset register as it is published, in JSON; with the coverage of declared sources."""
        names = declared_names(self.settings)
        if not names:
            return orjson.dumps(self._datasets)
        with self.reading() as connection:
            return orjson.dumps({**self._datasets, "coverage": state.published(connection, names)})

    def wake(self, export_id: str) -> None:
        """Have a worker begin at once. While Redis is not available the clock does this later; no error is raised."""
        self._waker.wake(export_id)

    @cached_property
    def _waker(self) -> RequestWaker:
        return RequestWaker(lambda: self.redis)


def _place(request: Request) -> AppContext:
    place: AppContext = request.app.state.place
    return place


CurrentContext = Annotated[AppContext, Depends(_place)]
