"""Spans of exports. Without an endpoint in the environment nothing is imported, and nothing happens.

All spans of an export are in one trace, whose id is computed from the export's id: nothing is passed on between
processes. Names and attributes are steps, sources, datasets, routes, counts and codes, never personal data.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from portability.tracing.exporter import SpanExporter

log = structlog.get_logger()

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Either switches traces on (OpenTelemetry specification, "OpenTelemetry Protocol Exporter")."""
EXPORT = "export"
"""The span of a whole export, under which all others are."""
Attribute = str | int | float | bool


class _Process:
    """What this process sends spans by. A fork opens its own, because threads do not survive a fork."""

    pid = 0
    exporter: SpanExporter | None = None


@contextmanager
def span(
    name: str,
    export_id: str | None = None,
    *,
    ends_with: type[BaseException] | tuple[()] = (),
    **attributes: Attribute,
) -> Iterator[None]:
    """Trace the block; an error is recorded by its code or type, without its message.

    Args:
        name: of the span.
        export_id: begins a part of this export's trace. Without it the span belongs to the surrounding part, and
            outside of such a part nothing is traced.
        ends_with: an exception with which the block ends without failure.
        attributes: of the span.
    """
    exporter = _exporter()
    if exporter is None:
        yield
        return
    with exporter.opened(name, export_id, attributes) as opened:
        try:
            yield
        except ends_with:
            raise
        except BaseException as error:
            exporter.fail(opened, str(getattr(error, "code", None) or type(error).__name__))
            raise


def fault(code: str) -> None:
    """Mark the surrounding span as failed, where the work goes on: data is missing, and the archive says so."""
    if exporter := _exporter():
        exporter.fail_surrounding(code)


def record(name: str, export_id: str, began_ns: int, **attributes: Attribute) -> None:
    """Record what has just ended as a span of an export's trace; `began_ns` is of `time.time_ns`."""
    if exporter := _exporter():
        exporter.record(name, export_id, began_ns, attributes)


def record_export(export_id: str, since: datetime, error: str | None = None) -> None:
    """Record the span of a whole export, at the end of its last volume; `error` is the code of its failure.

    Outside of a traced part, as in the warm-up of workers, nothing is traced.
    """
    if exporter := _exporter():
        began_ns = int(since.timestamp() * 1_000_000) * 1000
        exporter.record(EXPORT, export_id, began_ns, {}, error, is_whole=True)


def flush() -> None:
    """Send what was traced so far, before the process ends; gives up soon if the collector does not answer."""
    if _Process.exporter and _Process.pid == os.getpid():
        _Process.exporter.flush()


def _exporter() -> SpanExporter | None:
    if not any(map(os.environ.get, ENDPOINTS)):
        return None
    if _Process.pid != os.getpid():
        _Process.pid, _Process.exporter = os.getpid(), _opened()
    return _Process.exporter


def _opened() -> SpanExporter | None:
    try:
        from portability.tracing.exporter import SpanExporter  # noqa: PLC0415  # of an extra
    except ImportError:
        log.warning("traces.off", hint='pip install "vlint-portability[otlp]"')
        return None
    return SpanExporter()
