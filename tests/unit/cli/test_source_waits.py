"""Calls of sources that a person waits for: the limit holds for all attempts, and is said."""

from __future__ import annotations

import threading

import pytest

from cli import source_waits
from cli.context import Context
from portability.api.errors import SourceError, SourceRefused, SourceStalled, SourceUnavailable
from portability.settings import load_settings
from worker.read import bounded_calls


def test_repetitions_end_at_the_limit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A source that fails late at each attempt has no more time than one that says nothing."""
    monkeypatch.setattr(bounded_calls, "REPORT_SECONDS", 0)
    monkeypatch.setattr(bounded_calls, "LOOK_SECONDS", 0.01)
    context = Context(lambda: load_settings(source_seconds=0.4, source_retries=1000), json=False)
    late = threading.Event()
    calls = []

    def fail_late() -> None:
        calls.append(1)
        late.wait(0.15)
        raise SourceUnavailable("crm: away")

    with pytest.raises(SourceStalled, match=r"did not answer within 0\.4 s"):
        source_waits.call_repeated(context, "crm: identities()", fail_late)
    assert 1 < len(calls) < 5
    told = capsys.readouterr().err
    assert told.count("waiting for crm: identities(), at most 0.4 s (PORTABILITY_SOURCE_SECONDS)") == 1
    assert "crm: identities() did not answer within 0.4 s [source_stalled]  hint: check the source" in told


@pytest.mark.parametrize("fault", [SourceUnavailable("crm: away"), SourceRefused("crm: no"), ValueError("no")])
def test_a_source_that_has_answered_is_not_waited_for(fault: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """It answered by a fault, at once: `waiting for` sent people to look for a source that hangs."""
    context = Context(lambda: load_settings(source_seconds=60, source_retries=0), json=False)

    def fails() -> None:
        raise fault

    with pytest.raises(SourceError):
        source_waits.call_once(context, "crm: check", fails)
    with pytest.raises(SourceError):
        source_waits.call_repeated(context, "crm: identities()", fails)
    assert "waiting" not in capsys.readouterr().err
