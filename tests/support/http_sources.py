"""Sources with an HTTP interface for tests: a server of the test's own, and the exporter of a map that reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from listener import Heard, Listener, Reply, listening
from sqlalchemy import create_engine

from exporters.http.exporter import HttpExporter
from exporters.http.forms import HttpSourceForm
from exporters.http.source import HttpSection, exporter_of, open_http
from exporters.maps.reading import Map, MapText
from portability.api import Batch, Identity, Record, Selection, Sources, Subject, SubjectKind
from portability.testing import MemoryFiles, MemoryState, SampleSources, sample_subject

EVERYTHING = Selection()
SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to a stand-in."""

    path: str
    query: Mapping[str, str]
    heard: Heard

    @property
    def body(self) -> Any:
        return json.loads(self.heard.body)


Answers = Callable[[Asked], Any]
"""Returns a JSON value, or status, headers and body; None: 404."""


@dataclass
class StandIn:
    """A server that answers as a vendor documents, by the first path that fits."""

    listener: Listener
    answers: dict[str, Answers] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    before: Answers = lambda _asked: None
    """Answers first: limits and logins."""

    @property
    def url(self) -> str:
        return self.listener.url

    def on(self, path: str) -> Callable[[Answers], Answers]:
        """Answer a path; a path that ends in `*` also answers all below it."""

        def add(answers: Answers) -> Answers:
            self.answers[path] = answers
            return answers

        return add

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def reply(self, heard: Heard) -> Reply:
        parts = urlsplit(heard.path)
        asked = Asked(unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True)), heard)
        self.asked.append(asked)
        answer = self.before(asked)
        if answer is None:
            answer = self._found(asked.path)(asked)
        if isinstance(answer, tuple):
            status, headers, body = answer
            return status, headers, body if isinstance(body, bytes) else json.dumps(body).encode()
        if answer is None:
            return 404, {}, b"{}"
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    def _found(self, path: str) -> Answers:
        if path in self.answers:
            return self.answers[path]
        fitting = [name for name in self.answers if name.endswith("*") and path.startswith(name[:-1])]
        return self.answers[max(fitting, key=len)] if fitting else lambda _asked: None


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """A stand-in on a free port."""
    with listening() as listener:
        server = StandIn(listener)
        listener.reply = server.reply
        yield server


def map_of(text: str, name: str = "test.toml") -> Map[HttpSourceForm]:
    """A checked map."""
    return open_http.parse(MapText(name, text))


def memory_sources(seconds: float = SECONDS) -> SampleSources:
    """Sources without a database, with state in memory."""
    return SampleSources(create_engine("sqlite://"), MemoryFiles(), MemoryState(), seconds)


def open_source(text: str, base_url: str, connections: Sources | None = None, **section: Any) -> HttpExporter:
    """The exporter `desk` of a map's text."""
    keys = {"map": "test.toml", "base_url": base_url, "rate": "1000/s", **section}
    form = HttpSection.model_validate_json(json.dumps(keys))
    found = map_of(text)
    return exporter_of("desk", form, found.form, connections or memory_sources(), found.source.sha256)


def person(address: str = "ann@example.test", *more: Identity) -> Subject:
    """A subject with a proved address."""
    return sample_subject(SubjectKind.EMAIL, address, Identity("account", "email", address, verified=True), *more)


def resolved(exporter: HttpExporter, subject: Subject) -> Subject:
    """The subject with what the source finds."""
    found = tuple(exporter.identities(subject))
    return Subject(subject.kind, subject.tenant, subject.ref, (*subject.identities, *found))


def batches_of(
    exporter: HttpExporter,
    name: str,
    subject: Subject,
    *,
    after: str | None = None,
    selection: Selection = EVERYTHING,
) -> list[Batch]:
    """All batches of a dataset."""
    dataset = next(one for one in exporter.datasets if one.name == name)
    return list(exporter.export(subject, dataset, selection, after=after))


def records_of(exporter: HttpExporter, name: str, subject: Subject | None = None, **more: Any) -> list[Record]:
    """All records of a dataset; the default subject is the person, as the source finds it."""
    subject = subject or resolved(exporter, person())
    return [record for batch in batches_of(exporter, name, subject, **more) for record in batch.records]


def ids_of(records: Sequence[Record]) -> list[Any]:
    return [record["id"] for record in records]
