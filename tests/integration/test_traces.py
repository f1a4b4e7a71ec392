"""Traces: a collector of OpenTelemetry gets the spans of an export from all processes, in one tree, without data."""

from __future__ import annotations

import hashlib
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from factories import MadeUpExporter, things, world
from listener import Listener, listening
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from served import OWNER, serving
from structlog.testing import capture_logs
from transferring import authorised, encrypted, providing, ready, sending_world, started
from workers import READY, deployment

from demo.plan import SeedPlan
from demo.seed import seed
from portability.api.errors import SourceRefused
from portability.storage import open_storage
from portability.tracing import exporter, traces

PLAN = SeedPlan(tenants=1, users=1, contacts=2, calls=2, recordings=0)
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
ROOT = b"\0" * 8


@dataclass(frozen=True)
class SentSpan:
    """A span as the collector has it."""

    name: str
    service: str
    trace: str
    id: bytes
    parent: bytes
    attributes: Mapping[str, Any]
    failed: bool
    seconds: float


@dataclass
class Collector:
    """An OTLP endpoint."""

    server: Listener

    @property
    def spans(self) -> list[SentSpan]:
        found = []
        for heard in self.server.heard:
            assert (heard.method, heard.path) == ("POST", "/v1/traces")
            for sent in ExportTraceServiceRequest.FromString(heard.body).resource_spans:
                service = {one.key: one.value.string_value for one in sent.resource.attributes}["service.name"]
                found += [_span(service, span) for scope in sent.scope_spans for span in scope.spans]
        return found

    def named(self, name: str) -> list[SentSpan]:
        return [span for span in self.spans if span.name == name]


def _span(service: str, span: Any) -> SentSpan:
    attributes = {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}
    seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
    own = (span.trace_id.hex(), span.span_id, span.parent_span_id)
    return SentSpan(span.name, service, *own, attributes, span.status.code == 2, seconds)


def first_ids(export_id: str) -> tuple[str, bytes]:
    """The trace of an export, and the id of its first span, as docs/traces.md says."""
    digest = hashlib.sha256(f"export-trace-1:{export_id}".encode()).digest()
    return digest[:16].hex(), digest[16:24]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that this test's processes know."""
    with listening() as server:
        monkeypatch.setenv(ENDPOINT, server.url)
        monkeypatch.setattr(traces._Process, "pid", 0)
        monkeypatch.setattr(traces._Process, "exporter", None)
        yield Collector(server)
        traces.flush()


def test_an_export_is_one_tree_of_spans(tmp_path: Path, redis_url: str, collector: Collector) -> None:
    """Command line and workers are processes of their own; no value of a record and no name is sent."""
    folder = tmp_path / "state"
    with deployment(folder, workers=1, REDIS_URL=redis_url) as running:
        storage = open_storage((folder / "recordings").as_uri())
        user = seed(f"sqlite:///{folder}/platform.sqlite", storage, PLAN).examples.user
        asked = ("--profile", "access", "--subject", f"user:{user}")
        export_id = running.json("request", *asked, "--wait", expect=READY)["id"]
    trace, first = first_ids(export_id)
    spans = collector.spans

    assert {span.trace for span in spans} == {trace}
    assert {span.attributes.get("portability.export", export_id) for span in spans} == {export_id}
    (whole,) = collector.named("export")
    assert (whole.id, whole.parent, whole.failed) == (first, b"", False)
    (accepted,) = collector.named("accept")
    assert (accepted.parent, accepted.attributes["new"]) == (first, True)
    volumes = {span.id: span for span in collector.named("volume")}
    assert {span.parent for span in volumes.values()} == {first}
    for name in ("plan", "read", "seal", "commit"):
        assert {span.parent for span in collector.named(name)} <= volumes.keys(), name
    assert {span.parent for span in collector.named("store")} == {span.id for span in collector.named("seal")}
    assert "account/profile" in {span.attributes["dataset"] for span in collector.named("read")}
    assert whole.seconds >= max(span.seconds for span in volumes.values()) > 0
    assert not any(span.failed for span in spans)
    sent = b"".join(heard.body for heard in collector.server.heard)
    with sqlite3.connect(folder / "platform.sqlite") as connection:
        known = connection.execute("SELECT id, email, full_name FROM users WHERE id = ?", (user,)).fetchone()
    assert [value for value in known if value.encode() in sent] == []


def test_a_fault_of_a_source_is_on_its_span(tmp_path: Path, collector: Collector) -> None:
    """By its code, without its message; the export goes on, so its own span has not failed."""

    def refuse(_number: int) -> None:
        raise SourceRefused("jane@example.org is unknown")

    made = world(tmp_path, {"made": MadeUpExporter(things(3), on_batch=refuse)})
    made.request()
    made.advance_all()
    traces.flush()

    (read,) = collector.named("read")
    assert (read.failed, read.attributes["error.type"]) == (True, "source_refused")
    assert not collector.named("export")[0].failed
    assert b"jane" not in b"".join(heard.body for heard in collector.server.heard)


def test_an_export_that_fails_is_marked(tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole export and its volume, with the code of the error."""
    made = world(tmp_path, {"made": MadeUpExporter(things(3))}, attempts_max=1)
    made.request()
    monkeypatch.setattr("worker.export._seal", lambda *_arguments: 1 / 0)
    made.advance_all()
    traces.flush()

    assert [span.attributes["error.type"] for span in collector.named("volume")] == ["volume_fault"]
    (whole,) = collector.named("export")
    assert (whole.failed, whole.attributes["error.type"]) == (True, "volume_fault")


def test_a_download_is_part_of_the_export(tmp_path: Path, redis_url: str, collector: Collector) -> None:
    """With the number of bytes that were sent, and no token."""
    with serving(tmp_path, redis_url, exporters={"made": MadeUpExporter(things(5))}) as served:
        export_id = served.ready()
        token = served.link(export_id).token
        with served.browser(OWNER) as visitor:
            page = visitor.client.get(f"/d/{token}")
            begun = visitor.send(f"/d/{token}/volumes/1", page=f"/d/{token}")
            answer = visitor.client.get(begun.headers["location"])
            assert (page.status_code, answer.status_code) == (200, 200)
    traces.flush()

    (download,) = collector.named("download")
    trace, first = first_ids(export_id)
    assert (download.trace, download.parent) == (trace, first)
    assert download.attributes["bytes"] == len(answer.content)
    assert token.encode() not in b"".join(heard.body for heard in collector.server.heard)


def test_a_transfer_is_part_of_the_export(tmp_path: Path, collector: Collector) -> None:
    """Each turn of a worker is a span."""
    made = sending_world(tmp_path)
    with providing() as other:
        other.recorded(made)
        authorised(made, other.recipient)
        export_id = ready(made)
        started(made, export_id, other.recipient)
        encrypted(made)
    traces.flush()

    assert {(span.trace, span.parent) for span in collector.named("transfer")} == {first_ids(export_id)}


def test_a_collector_that_hangs_delays_a_job_only_shortly(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be sent in time is lost, and the export is ready all the same."""
    released = Event()

    def wait(_request: BaseHTTPRequestHandler) -> None:
        released.wait(60)

    collector.server.raw = wait
    monkeypatch.setattr(exporter, "FLUSH_SECONDS", 0.1)
    made = world(tmp_path, {"made": MadeUpExporter(things(3))})
    export_id = made.request()
    made.advance_all()
    traces.flush()
    assert made.view(export_id)["state"] == "ready"
    released.set()


def test_without_the_extra_one_line_says_so(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with an endpoint and without the packages works, and names what to install, once."""
    monkeypatch.delitem(sys.modules, "portability.tracing.exporter")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with capture_logs() as logged:
        for _ in range(2):
            with traces.span("volume", "abc"):
                traces.fault("source_refused")
    assert [line["event"] for line in logged] == ["traces.off"]
    assert "vlint-portability[otlp]" in logged[0]["hint"]
    assert collector.server.heard == []


def test_without_an_endpoint_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no thread and no import."""
    for name in traces.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(traces, "_opened", lambda: pytest.fail("opened"))
    monkeypatch.setattr(traces._Process, "pid", 0)
    with traces.span("volume", "abc"):
        traces.record("accept", "abc", 0)
    traces.flush()
