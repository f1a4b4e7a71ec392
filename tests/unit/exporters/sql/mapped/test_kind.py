"""A section of the kind `sql`: what is wrong in it is named, and its secrets are in no error."""

from __future__ import annotations

from pathlib import Path

import crm_database
import pytest

from exporters.sql.mapped.exporter import MappedExporter
from exporters.sql.mapped.kind import kind
from portability.api import SourceDeclaration
from portability.api.errors import BadInput, BadMap, BadSetting
from portability.settings import load_settings
from portability.sources import PlatformSources
from portability.testing import MemoryFiles, SampleSources

SECRET = "postgresql://reader:hunter2@db.example/crm"  # made up
SOURCES = SampleSources(None, MemoryFiles())  # type: ignore[arg-type]  # nothing is read


def refused_section(folder: Path, section: str, **keys: object) -> BadInput:
    """The error of a section, whose text is in the file and whose keys are those."""
    (folder / "sources.toml").write_text(f"# sources\n[crm]\n{section}")
    (folder / "crm.toml").write_text(crm_database.MAP.read_text())
    declared = SourceDeclaration("crm", "sql", {"map": "crm.toml", **keys}, folder, file=folder / "sources.toml")
    with pytest.raises(BadInput) as refused:
        kind(declared, SOURCES)
    assert "hunter2" not in f"{refused.value} {refused.value.hint}"
    return refused.value


def test_a_secret_in_plain_text(tmp_path: Path) -> None:
    """A URL or storage that is not a reference is refused with its line and column."""
    error = refused_section(tmp_path, f'kind = "sql"\nurl = "{SECRET}"\n', url=SECRET)
    assert isinstance(error, BadMap)
    assert str(error).startswith("sources.toml:4:1: url must be a reference, not a value (write env:NAME or file:/path")


def test_a_url_of_another_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL that is malformed, or of a database without support, is refused without the URL."""
    for url in (SECRET.replace("postgresql", "oracle"), "hunter2", "postgresql://app:hunter2@[::1/crm"):
        monkeypatch.setenv("CRM_URL", url)
        error = refused_section(tmp_path, 'url = "env:CRM_URL"\n', url="env:CRM_URL")
        assert isinstance(error, BadSetting)
        assert str(error) == "url is not the URL of a database"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"urls": "x"}, "unknown key 'urls'; valid keys: kind, map, url, files, lag_seconds"),
        ({}, "'deals' has files, and the section has no `files`"),
        ({"files": "env:CRM_FILES", "lag_seconds": 0}, "lag_seconds must be a number of seconds above 0"),
        ({"files": "env:CRM_FILES", "map": "other.toml"}, "cannot read the map"),
        ({"map": 3}, "`map` is missing"),
    ],
)
def test_keys_of_a_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, object], message: str
) -> None:
    """Each key is checked when the section is opened; the database is not asked."""
    monkeypatch.setenv("CRM_URL", SECRET)
    monkeypatch.setenv("CRM_FILES", f"file://{tmp_path}")
    assert message in str(refused_section(tmp_path, "", **{"url": "env:CRM_URL", **keys}))


def test_a_section_needs_no_other_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment without a platform database and recordings opens a section, and closes what it has opened."""
    url = f"sqlite:///{tmp_path / 'crm.db'}"
    crm_database.fill(url, url)
    monkeypatch.setenv("CRM_URL", url)
    monkeypatch.setenv("CRM_FILES", f"file://{tmp_path}")
    (tmp_path / "crm.toml").write_text(crm_database.MAP.read_text())
    keys = {"map": "crm.toml", "url": "env:CRM_URL", "files": "env:CRM_FILES"}
    sources = PlatformSources(load_settings(dir=tmp_path, sources=tmp_path / "sources.toml"))
    exporter = kind(SourceDeclaration("crm", "sql", keys, tmp_path), sources)
    assert isinstance(exporter, MappedExporter)
    exporter.prepare()
    sources.close()
    assert exporter._section.sources.database.pool.checkedin() == 0  # type: ignore[attr-defined]  # a queue's method
