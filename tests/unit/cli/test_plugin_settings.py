"""Settings that exporters of packages declare: keys of their sections, checked before anything starts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from packages import NOTES, install

from cli.main import main
from portability import plugins
from portability.api import Secret

Plugins = Callable[..., Result]

CONFIGURED = (
    NOTES
    + """
from enum import StrEnum

from pydantic import Field as Setting

from portability.api import PluginSettings, Secret, configured


class Order(StrEnum):
    NEW = "new"
    OLD = "old"


class NoteSettings(PluginSettings):
    url: str = Setting(description="Address of the notes.")
    token: Secret = Setting(description="Access token.")
    page: int = Setting(default=100, ge=1, description="Notes for each request.")
    order: Order = Setting(default=Order.NEW, description="Which notes come first.")
    folders: tuple[str, ...] = Setting(default=(), description="Folders that are read; default: all.")


@configured(NoteSettings)
def from_section(sources, settings):
    assert settings.token.get_secret_value() == "canary-secret"
    notes = Notes()
    notes.settings = settings
    return notes
"""
)
GOOD = (
    'kind = "python"\nurl = "https://notes.example"\ntoken = "env:NOTES_TOKEN"\norder = "old"\nfolders = ["a", "b"]\n'
)
BAD = {
    "missing": (GOOD.replace("url", "exporter"), "unknown_exporter", "unknown plug-in"),
    "no url": ('kind = "python"\ntoken = "env:NOTES_TOKEN"\n', "bad_setting", "[notes]: url is missing"),
    "unknown": (f"{GOOD}pages = 3\n", "bad_setting", "unknown key 'pages'; valid keys: kind, trusts, url, token, page"),
    "type": (f'{GOOD}page = "3"\n', "bad_setting", "[notes]: page: input should be a valid integer"),
    "range": (f"{GOOD}page = 0\n", "bad_setting", "page: input should be greater than or equal to 1"),
    "word": (GOOD.replace('"old"', '"canary"'), "bad_setting", "order: input should be 'new' or 'old'"),
    "value of a secret": (GOOD.replace("env:NOTES_TOKEN", "canary"), "bad_setting", "token must be a reference, not a"),
    "no secret": (
        GOOD.replace("NOTES_TOKEN", "CANARY_TOKEN"),
        "bad_setting",
        "token: env:CANARY_TOKEN is empty or not",
    ),
    "two faults": (
        'kind = "python"\ntoken = "env:NOTES_TOKEN"\npage = 0\n',
        "bad_setting",
        "url is missing; page: input",
    ),
}


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugins]:
    """`portability plugins` on a file with a section `notes`."""
    folder = tmp_path / "packages"
    folder.mkdir()
    install(folder, "acme-notes", CONFIGURED, exporters={"notes": "from_section"})
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PORTABILITY_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("NOTES_TOKEN", "canary-secret")
    plugins.installed.cache_clear()

    def run(section: str, *arguments: str) -> Result:
        path = tmp_path / "sources.toml"
        path.write_text(f"[notes]\n{section}")
        monkeypatch.setenv("PORTABILITY_SOURCES", str(path))
        return CliRunner(env={"COLUMNS": "250"}).invoke(main, ["plugins", *arguments], catch_exceptions=False)

    yield run
    plugins.installed.cache_clear()


def test_a_plug_in_gets_its_settings(declared: Plugins) -> None:
    """Typed, with defaults, words of enumerations and lists, and the secret that a reference names."""
    done = declared(GOOD)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_setting_starts_nothing(declared: Plugins, case: str) -> None:
    """The error names file, section and key, and repeats no value of a secret."""
    section, code, message = BAD[case]
    done = declared(section)
    assert done.exit_code == 2
    assert f"[{code}]" in done.stderr
    assert message in done.stderr
    assert "sources.toml: [notes]: " in done.stderr
    assert "canary" not in done.stderr.replace("env:CANARY", "").replace("CANARY", "")


def test_the_settings_of_plug_ins_are_listed(declared: Plugins) -> None:
    """With types, defaults and the descriptions of their authors, before a section is written."""
    rows = json.loads(declared(GOOD, "--settings", "--json").stdout)
    assert [(row["name"], row["type"], row["required"], row["default"]) for row in rows] == [
        ("url", "string", True, None),
        ("token", "reference to a secret", True, None),
        ("page", "integer", False, "100"),
        ("order", "new | old", False, "new"),
        ("folders", "array", False, "[]"),
    ]
    assert {row["exporter"] for row in rows} == {"notes"}
    assert rows[0]["description"] == "Address of the notes."
    assert declared(GOOD, "--settings", "--register").exit_code == 2


def test_a_plug_in_with_required_settings_needs_a_section(
    declared: Plugins, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a file of sources every installed exporter is used: this one cannot start."""
    declared(GOOD)
    monkeypatch.delenv("PORTABILITY_SOURCES")
    monkeypatch.setenv("PORTABILITY_SOURCE_URL", f"sqlite:///{tmp_path}/platform.sqlite")
    done = CliRunner().invoke(main, ["plugins"], catch_exceptions=False)
    assert (done.exit_code, "url is missing; token is missing" in done.stderr) == (2, True)


def test_a_secret_is_a_type_of_the_api() -> None:
    """Plug-ins import it from `portability.api`, with all else."""
    assert "SecretStr" in str(Secret)
