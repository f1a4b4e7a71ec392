"""Logs: one JSON object a line on standard error. Opaque ids, codes and counts only; never personal data."""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


def configure(level: str = "INFO") -> None:
    """Configure logging for the processes of the Procfile; loggers of libraries get the same format."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.CallsiteParameterAdder([structlog.processors.CallsiteParameter.PROCESS]),
    ]
    render = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _without_message,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(render)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for talkative in ("rq", "httpx", "alembic"):  # they log whole URLs with their queries
        logging.getLogger(talkative).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _without_message(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep an error's type and location and drop its message, because messages of libraries may quote data."""
    given = event.pop("exc_info", None)
    kind, _error, trace = given if isinstance(given, tuple) else sys.exc_info() if given else (None, None, None)
    if kind is not None:
        event.setdefault("error", kind.__name__)
        event["raised_at"] = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(trace, limit=-3)]
    return event
