"""The summary that an export writes when it closes."""

from __future__ import annotations

from pathlib import Path

import pytest
from archives import members
from factories import MadeUpExporter, things, world_of
from structlog.testing import capture_logs

from archive.summary.pdf import Typesetter, TypesettingFailed

pytestmark = pytest.mark.slow


def closed(folder: Path) -> dict[str, bytes]:
    """The members of an archive of five records."""
    made = world_of(folder, MadeUpExporter(things(5)))
    identifier = made.request("user:usr_1")
    made.advance_all()
    return dict(members(made.fetch(identifier)))


def test_the_closing_volume_has_a_summary_as_a_pdf(tmp_path: Path) -> None:
    """The tag manifest, and so the signature, covers it; README.html leads to it."""
    found = closed(tmp_path)
    assert found["summary.pdf"].startswith(b"%PDF-1.7")
    assert b" summary.pdf\n" in found["tagmanifest-sha256.txt"]
    assert b'href="summary.pdf"' in found["README.html"]


def test_an_export_without_a_typesetter_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The summary is in README.html, no link leads nowhere, and the log says why there is no PDF."""

    def fail(*_arguments: object) -> bytes:
        raise TypesettingFailed("the program for summary.pdf ended with -9: ")

    monkeypatch.setattr(Typesetter, "pdf", fail)
    with capture_logs() as logs:
        found = closed(tmp_path)
    assert "summary.pdf" not in found
    assert b"summary.pdf" not in found["README.html"]
    assert b'class="glance"' in found["README.html"]
    (failed,) = [line for line in logs if line["event"] == "summary.failed"]
    assert failed["detail"] == "the program for summary.pdf ended with -9: "
