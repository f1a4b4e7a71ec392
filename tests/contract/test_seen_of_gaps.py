"""What the log of a worker says about a gap."""

from __future__ import annotations

from pathlib import Path

from factories import MadeUpExporter, things, world
from structlog.testing import capture_logs

from portability.api.errors import SourceRefused


def test_the_log_says_what_a_source_has_answered(tmp_path: Path) -> None:
    """The event `source.gap` has what was seen beside the code: a code alone names no cause."""

    def refuse(_batch: int) -> None:
        raise SourceRefused("crm/things: permission denied")

    made = world(tmp_path, {"crm": MadeUpExporter(things(4), on_batch=refuse)}, source_retries=0)
    made.request()
    with capture_logs() as logs:
        made.advance_all()
    seen = {(line["exporter"], line["code"], line["seen"]) for line in logs if line["event"] == "source.gap"}
    assert seen == {("crm", "source_refused", "crm/things: permission denied")}
