"""What the receiving service logs while it waits for another import."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from portability.api.errors import PortabilityError
from receiver.importer.archive_import import ImportOptions
from receiver.inbox import steps


class Reached(PortabilityError):
    """The database is waited for."""


def test_an_import_and_an_undo_log_that_they_wait_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the id of the import, and nothing of the person."""
    service: Any = SimpleNamespace(quarantine=tmp_path, into="sqlite://", storage=lambda: None)
    row: Any = {"id": "rcv_1", "on_conflict": "keep", "comparison": "0123456789abcdef0"}

    def importing(_folders: object, _into: str, _target: object, options: ImportOptions) -> None:
        options.waits("waits for another import")
        raise Reached("an import waits")

    def opened(_into: str, **options: Any) -> None:
        options["waits"]("waits for another import")
        raise Reached("an undo waits")

    monkeypatch.setattr(steps, "bags", lambda _folder: [])
    monkeypatch.setattr(steps, "target_of", lambda _row: None)
    monkeypatch.setattr(steps, "import_archive", importing)
    monkeypatch.setattr(steps, "opened", opened)
    with capture_logs() as logs:
        with pytest.raises(Reached, match="an import"):
            steps._imported(service, row)
        with pytest.raises(Reached, match="an undo"):
            steps._undo(service, "0123456789abcdef", service)
    assert logs == [{"event": "inbox.import_waits", "log_level": "info", "import": "0123456789abcdef"}] * 2
