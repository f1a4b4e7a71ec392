from __future__ import annotations

from pathlib import Path

import pytest

from portability.errors import BadSetting
from portability.settings import Settings, load_settings

URL_SETTINGS = ["DATABASE_URL", "SOURCE_URL", "REDIS_URL", "STORAGE_URL", "RECORDINGS_URL", "BASE_URL"]
SECRET_URLS = [
    "hunter2",
    "hunter2:rest",
    "hunter2://user@host/",
    "gopher://user:hunter2@host/",
    "redis://user:hunter2@[host/",
    "https://user:hunter2@host℀/",  # urllib repeats such a host in its own message
]


def test_nothing_set_is_the_embedded_stack(tmp_path: Path) -> None:
    """With no settings at all everything lies in one folder, and no server is named."""
    settings = load_settings(dir=tmp_path)
    assert settings.embedded
    assert settings.database == f"sqlite:///{tmp_path}/portability.sqlite"
    assert settings.source == f"sqlite:///{tmp_path}/platform.sqlite"
    assert settings.storage == (tmp_path / "archives").as_uri()
    assert settings.recordings == (tmp_path / "recordings").as_uri()
    assert settings.keys == tmp_path / "keys"
    assert settings.iss == settings.base_url


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "STORAGE_URL"])
def test_one_server_of_its_own_ends_the_embedded_stack(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where any part is configured, nobody starts servers or believes a claimed role."""
    urls = {"DATABASE_URL": "sqlite:///x.sqlite", "REDIS_URL": "redis://localhost/0", "STORAGE_URL": "file:///archives"}
    monkeypatch.setenv(f"PORTABILITY_{name}", urls[name])
    assert not load_settings().embedded


def test_all_faults_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever mends settings sees every fault at once, each by the name of its variable, in one line."""
    bad = {"VOLUME_BYTES": "many", "LEASE_SECONDS": "0", "DATABASE_URL": "mysql://h/d", "STORAGE_SSE": "rot13"}
    for name, value in bad.items():
        monkeypatch.setenv(f"PORTABILITY_{name}", value)
    with pytest.raises(BadSetting) as raised:
        load_settings()
    assert all(f"PORTABILITY_{name}: " in str(raised.value) for name in bad)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", URL_SETTINGS)
@pytest.mark.parametrize("url", SECRET_URLS)
def test_a_bad_url_is_named_and_never_repeated(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL may hold a password at any place, also where the scheme should stand: nothing of it is told."""
    monkeypatch.setenv(f"PORTABILITY_{name}", url)
    with pytest.raises(BadSetting) as raised:
        load_settings()
    assert f"PORTABILITY_{name}: " in str(raised.value)
    assert "hunter2" not in f"{raised.value!r} {raised.value.hint}"


@pytest.mark.parametrize("url", ["redis://host:port/0", "redis://host/0?db=x", "redis://host?socket_timeout=soon"])
def test_a_redis_url_is_checked_whole(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port or database that is no number is found here, not by the first request."""
    monkeypatch.setenv("PORTABILITY_REDIS_URL", url)
    with pytest.raises(BadSetting, match="PORTABILITY_REDIS_URL"):
        load_settings()


def test_a_bad_number_is_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret pasted into the wrong variable stays unseen."""
    monkeypatch.setenv("PORTABILITY_VOLUME_MEMBERS", "hunter2")
    with pytest.raises(BadSetting) as raised:
        load_settings()
    assert "hunter2" not in str(raised.value)


def test_settings_do_not_change() -> None:
    """A process reads its settings once; nothing in it can move the storage under a running export."""
    with pytest.raises(ValueError, match="frozen"):
        load_settings().volume_bytes = 1


def test_every_setting_is_described() -> None:
    """A field's description is its line in docs/settings.md."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
