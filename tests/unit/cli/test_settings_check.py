from __future__ import annotations

import pytest

from cli.context import Context
from cli.settings_check import settings
from portability.settings import load_settings

CONTEXT = Context(load_settings, json=False)


def test_a_misspelt_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the name that was probably meant, and without its value: it was ignored without a word."""
    monkeypatch.setenv("PORTABILITY_SMTP_URLL", "smtp://app:hunter2@host")
    monkeypatch.setenv("PORTABILITY_APPROVAL", "policy")
    seen = settings(CONTEXT)
    assert "PORTABILITY_SMTP_URLL (PORTABILITY_SMTP_URL?)" in seen.result
    assert "PORTABILITY_APPROVAL (PORTABILITY_APPROVALS?)" in seen.result
    assert "hunter2" not in seen.result


def test_settings_and_what_kubernetes_adds_are_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service of the name `portability` gives each pod variables with the same beginning."""
    added = {"PORT": "tcp://10.0.0.1:80", "SERVICE_HOST": "10.0.0.1", "SERVICE_PORT": "80", "PORT_80_TCP_ADDR": "x"}
    for name, value in ({"SMTP_URL": "smtp://host", "MAIL_FROM": "a@b.example"} | added).items():
        monkeypatch.setenv(f"PORTABILITY_{name}", value)
    assert settings(CONTEXT).result == "ok"
