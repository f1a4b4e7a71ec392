"""A judge that is missing is never overlooked."""

from __future__ import annotations

import os

import pytest
from judges.programs import missing


def test_a_missing_judge_fails_in_ci_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where judges can be installed, a judge that never runs must be noticed."""
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match=r"7z is not installed.*apt-get install 7zip"):
        missing("7z", "apt-get install 7zip")


def test_a_missing_judge_is_skipped_visibly_for_who_cannot_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root and outside CI the other tests are worth running."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(pytest.skip.Exception, match="apt-get install 7zip"):
        missing("7z", "apt-get install 7zip")
