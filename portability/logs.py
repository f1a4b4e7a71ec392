"""Logs: one JSON object a line on standard error. Opaque ids, codes and counts only; never personal data."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


def configure(level: str = "INFO") -> None:
    """Configure logging for the processes of the Procfile.

    Loggers of libraries, warnings and errors that nothing catches get the same format.
    """
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.CallsiteParameterAdder([structlog.processors.CallsiteParameter.PROCESS]),
    ]
    render = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, _with_error_of_message],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _without_message,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(render)
    handler.addFilter(_without_messages_of_errors)
    logging.captureWarnings(capture=True)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for talkative in ("rq", "httpx", "alembic"):  # they log whole URLs with their queries
        logging.getLogger(talkative).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    # By default the interpreter writes the message of an error that nothing catches, which may quote a row.
    sys.excepthook = _log_end
    threading.excepthook = _log_end_of_thread
    sys.unraisablehook = _log_ignored


def _log_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log the error that ends this process."""
    structlog.get_logger().critical("process.ended", exc_info=(kind, error, trace))


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    """Log the error that ends a thread; the process goes on without it."""
    if ended.exc_type is not SystemExit:
        name = ended.thread.name if ended.thread else ""
        given = (ended.exc_type, ended.exc_value, ended.exc_traceback)
        structlog.get_logger().critical("thread.ended", thread=name, exc_info=given)


def _log_ignored(ignored: sys.UnraisableHookArgs) -> None:
    """Log an error that Python ignores, such as one of a finalizer."""
    given = (ignored.exc_type, ignored.exc_value, ignored.exc_traceback)
    structlog.get_logger().error("error.ignored", exc_info=given)


def _without_messages_of_errors(record: logging.LogRecord) -> bool:
    """Name the type of an error that a library's line quotes, as RQ's lines about Redis do; keep every record."""
    if isinstance(record.args, tuple):
        for error in (value for value in record.args if isinstance(value, BaseException)):
            record.quoted_error = type(error).__name__
        record.args = tuple(type(each).__name__ if isinstance(each, BaseException) else each for each in record.args)
    return True


def _with_error_of_message(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Give the type of the error that a line quotes a field of its own."""
    if (kind := getattr(event["_record"], "quoted_error", None)) is not None:
        event["error"] = kind
    return event


def _without_message(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep an error's type and location and drop its message, because messages of libraries may quote data."""
    given = event.pop("exc_info", None)
    kind, _error, trace = given if isinstance(given, tuple) else sys.exc_info() if given else (None, None, None)
    if kind is not None:
        event.setdefault("error", kind.__name__)
        event["raised_at"] = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(trace, limit=-3)]
    return event
