"""Spans by the packages of OpenTelemetry, which the extra `otlp` installs: OTLP over HTTP to a collector.

The variables of the OpenTelemetry specification choose endpoint, headers, certificates and the name of the service.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, Status, StatusCode, TraceFlags

FLUSH_SECONDS = 2.0
"""How long a request, and the end of a job, wait for a collector that hangs. What is not sent by then is lost."""
Attributes: TypeAlias = Mapping[str, str | int | float | bool]
ERROR_TYPE = "error.type"
EXPORT_ID = "portability.export"


class SpanExporter:
    """Sends the spans of one process in batches, in a thread."""

    def __init__(self) -> None:
        self._ids = _Ids()
        name = f"portability-{Path(sys.argv[0]).stem}"
        resource = Resource.create({SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME", name)})
        self._provider = TracerProvider(resource=resource, id_generator=self._ids)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=FLUSH_SECONDS)))
        self._tracer = self._provider.get_tracer("portability")

    @contextmanager
    def opened(self, name: str, export_id: str | None, attributes: Attributes) -> Iterator[Span]:
        """Make the span of the block the surrounding one; without an export and a surrounding span it is not sent."""
        surrounding = trace.get_current_span()
        if export_id is None and not surrounding.get_span_context().is_valid:
            yield surrounding
            return
        context = _under(export_id) if export_id else None
        named = attributes if export_id is None else {**attributes, EXPORT_ID: export_id}
        with self._tracer.start_as_current_span(
            name, context, attributes=named, record_exception=False, set_status_on_exception=False
        ) as span:
            yield span

    def record(
        self,
        name: str,
        export_id: str,
        began_ns: int,
        attributes: Attributes,
        error: str | None = None,
        *,
        is_whole: bool = False,
    ) -> None:
        """Send a span that ends now; `is_whole`: all other spans of the export are under it."""
        if is_whole and not trace.get_current_span().get_span_context().is_valid:
            return
        context = Context() if is_whole else _under(export_id)
        with self._ids.given(export_id if is_whole else None):
            span = self._tracer.start_span(
                name, context, attributes={**attributes, EXPORT_ID: export_id}, start_time=began_ns
            )
        if error is not None:
            self.fail(span, error)
        span.end()

    def fail(self, span: Span, error: str) -> None:
        """Mark a span as failed, with a code or the type of the error."""
        span.set_attribute(ERROR_TYPE, error)
        span.set_status(Status(StatusCode.ERROR))

    def fail_surrounding(self, error: str) -> None:
        """Mark the span that is open in this thread."""
        self.fail(trace.get_current_span(), error)

    def flush(self) -> None:
        """Send what has ended."""
        self._provider.force_flush(int(FLUSH_SECONDS * 1000))


class _Ids(RandomIdGenerator):
    """Random ids, except for the span of a whole export."""

    _export_id: str | None = None

    @contextmanager
    def given(self, export_id: str | None) -> Iterator[None]:
        self._export_id = export_id
        try:
            yield
        finally:
            self._export_id = None

    def generate_trace_id(self) -> int:
        return _ids(self._export_id)[0] if self._export_id else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return _ids(self._export_id)[1] if self._export_id else super().generate_span_id()


def _ids(export_id: str) -> tuple[int, int]:
    """Return the ids of an export's trace and of its first span."""
    digest = hashlib.sha256(b"export-trace-1:" + export_id.encode()).digest()
    return int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])


def _under(export_id: str) -> Context:
    """Return the context of an export's first span, which another process sends."""
    trace_id, span_id = _ids(export_id)
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())
