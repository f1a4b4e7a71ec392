"""The exporter of this software's own records about a subject: requests, downloads, consents, messages and events."""

from __future__ import annotations

from exporters.portability.reader import OwnRecords
from exporters.portability.records import TABLES
from portability.api import Exporter, Sources


def exporter(sources: Sources) -> Exporter:
    """Make the exporter, which opens the control database when it reads."""
    return OwnRecords(lambda: sources.control, TABLES)
