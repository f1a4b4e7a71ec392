"""Deployments that say by name which sources they have, as the command line and a worker meet them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from factories import described, whole_register
from packages import NOTES, install

from cli.main import main
from portability import plugins

Run = Callable[..., Result]
Declare = Callable[[str], Path]

ASK = ("request", "--profile", "access", "--subject", "user:usr_1")
OWN = '[notes]\nkind = "python"\npackage = "acme-exports"\n'
WORKER = """
import sys
from worker.process import tasks
tasks.warm_up()
tasks.advance()
print([name for name in sys.modules if name.startswith("exporters.reference")])
"""
BAD = {
    "missing": (None, "bad_setting", "cannot read"),
    "not TOML": ("[notes]\nkind = python\n", "bad_setting", "at line 2"),
    "twice": ('[notes]\nkind = "python"\n[notes]\n', "bad_setting", "at line 3"),
    "not UTF-8": ("# \udcff\n", "bad_setting", "is not UTF-8"),
    "empty": ("", "bad_setting", "declares no source"),
    "no section": ('kind = "python"\n', "bad_setting", "kind is outside of a section"),
    "bad name": ('["my notes"]\nkind = "python"\n', "bad_setting", "[my notes]: invalid name"),
    "a name of Windows": ('[aux]\nkind = "python"\n', "bad_setting", "[aux]: invalid name: it is reserved by Windows"),
    "same but for case": (
        '[notes]\nkind = "python"\n[Notes]\nkind = "python"\n',
        "bad_setting",
        "[Notes]: [notes] has the same name but for the case of its letters",
    ),
    "reserved in another case": (
        '[Portability]\nkind = "python"\n',
        "bad_setting",
        "[Portability]: this name belongs to",
    ),
    "no kind": ("[notes]\n", "bad_setting", "[notes]: `kind` is missing"),
    "unknown kind": ('[notes]\nkind = "csv"\n', "bad_setting", "[notes]: unknown source kind 'csv'"),
    "unknown key": (f'{OWN}pakage = "x"\n', "bad_setting", "[notes]: unknown key 'pakage'"),
    "no text": ('[notes]\nkind = "python"\npackage = 1\n', "bad_setting", "[notes]: package must be a text"),
    "reserved": ('[portability]\nkind = "python"\n', "bad_setting", "[portability]: this name belongs to"),
    "unknown": ('[note]\nkind = "python"\n', "unknown_exporter", "[note]: portability.exporters: unknown plug-in"),
    "unknown package": (OWN.replace("acme", "acne"), "unknown_exporter", "in the package 'acne-exports'"),
    "two of one name": (
        '[notes]\nkind = "python"\n',
        "duplicate_plugin",
        "[notes]: portability.exporters: two plug-ins",
    ),
    "does not import": ('[gone]\nkind = "python"\n', "broken_plugin", "[gone]: portability.exporters plug-in 'gone'"),
    "needs a database": (
        '[reader]\nkind = "python"\n',
        "bad_source",
        "[reader]: this deployment has no platform database",
    ),
    "needs files": ('[files]\nkind = "python"\n', "bad_source", "[files]: this deployment has no recordings"),
}


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two packages that both bring an exporter `notes`."""
    folder = tmp_path / "packages"
    folder.mkdir()
    more = {"gone": "gone", "reader": "reader", "files": "from_files"}
    install(folder, "acme-exports", NOTES, exporters={"notes": "exporter", **more})
    install(folder, "other-exports", NOTES, exporters={"notes": "exporter"})
    monkeypatch.syspath_prepend(str(folder))
    plugins.installed.cache_clear()
    yield folder
    plugins.installed.cache_clear()


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Declare:
    """Write the file of sources, and set it."""

    def write(text: str) -> Path:
        path = tmp_path / "sources.toml"
        path.write_text(text, "utf-8", errors="surrogateescape")
        monkeypatch.setenv("PORTABILITY_SOURCES", str(path))
        return path

    return write


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line in this process, on a state folder of its own."""
    monkeypatch.setenv("PORTABILITY_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize(
    "arguments",
    [("worker",), ("web",), ("clock",), ASK, ("plugins",), ("instructions", "add", "--tenant", "t", "--include", "x")],
    ids=lambda arguments: arguments[0],
)
def test_a_bad_file_of_sources_starts_nothing(
    run: Run, declare: Declare, tmp_path: Path, case: str, arguments: tuple[str, ...]
) -> None:
    """One line, with the section or the line of the file, and exit code 2; no folder, database or key is made."""
    text, code, message = BAD[case]
    path = declare(text or "")
    if text is None:
        path.unlink()
    done = run(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"[{code}]" in done.stderr
    assert message in done.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.usefixtures("packages")
def test_doctor_names_a_bad_file_of_sources(run: Run, declare: Declare) -> None:
    """The check of plug-ins fails with the section's name; all other checks still run."""
    declare('[note]\nkind = "python"\n')
    found = {check["check"]: check for check in json.loads(run("doctor", "--json").stdout)["checks"]}
    assert (found["plugins"]["ok"], found["plugins"]["code"]) == (False, "unknown_exporter")
    assert "[note]" in found["plugins"]["message"]
    assert found["control database"]["ok"]


def test_a_deployment_without_any_source_starts_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With configured servers there is no default: one line that names the setting."""
    monkeypatch.setenv("PORTABILITY_REDIS_URL", "redis://localhost/0")
    for arguments in (("worker",), ("web",), ("clock",), ASK):
        done = run(*arguments)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
        assert "no source is configured" in done.stderr
        assert "[bad_setting]" in done.stderr


@pytest.mark.usefixtures("packages")
def test_sources_without_a_notice_register_start_nothing(run: Run, declare: Declare) -> None:
    """The built-in register describes the reference platform: people of another platform do not get it."""
    declare(OWN)
    done = run("worker")
    assert done.exit_code == 2
    assert "[notice_hole]" in done.stderr
    assert "PORTABILITY_NOTICE_DIR" in done.stderr


@pytest.mark.usefixtures("packages")
def test_an_own_notice_register_has_no_part_of_the_built_in_one(
    run: Run, declare: Declare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that describes its dataset alone refers to recipients that do not exist here: a hole."""
    declare(OWN)
    monkeypatch.setenv("PORTABILITY_NOTICE_DIR", str(described(tmp_path / "notice", "notes/notes")))
    done = run("worker")
    assert done.exit_code == 2
    assert "missing_value: recipients" in done.stderr


@pytest.mark.slow
def test_a_deployment_of_its_own_exports_end_to_end(
    run: Run, declare: Declare, tmp_path: Path, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another package's exporter alone: its data arrives, and no part of the reference platform is looked for."""
    declare(OWN)
    folder = whole_register(tmp_path / "notice", "notes/notes", "portability")
    monkeypatch.setenv("PORTABILITY_NOTICE_DIR", str(folder))
    assert run("keys", "new").exit_code == 0
    refused = run(*ASK, "--include", "account")
    assert "unknown exporter 'account'; installed: notes, portability" in refused.stderr
    identifier = json.loads(run(*ASK, "--include", "notes", "--json").stdout)["id"]
    environment = {**os.environ, "PYTHONPATH": f"{packages}:{Path.cwd()}"}
    command = [sys.executable, "-c", WORKER]
    worked = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert worked.stdout.splitlines()[-1:] == ["[]"], worked.stderr
    assert "ended" not in worked.stderr

    shown = json.loads(run("show", identifier, "--json").stdout)
    assert (shown["state"], shown["complete"]) == ("ready", True)
    assert [(line["exporter"], line["records"]) for line in shown["datasets"]] == [("notes", 1)]
    state = tmp_path / "state"
    assert not [path.name for path in state.iterdir() if path.name in {"platform.sqlite", "recordings"}]
    found = {check["check"]: check for check in json.loads(run("doctor", "--json").stdout)["checks"]}
    for name in ("platform database", "recordings"):
        assert found[name]["result"].startswith("not used"), found[name]
    assert found["directory"]["result"].startswith("not set")
    assert (found["plugins"]["ok"], found["notice"]["ok"]) == (True, True)
    entries = json.loads(run("plugins", "--register", "--json").stdout)
    assert [*dict.fromkeys(entry["exporter"] for entry in entries)] == ["notes", "portability"]
    shutil.rmtree(folder)


@pytest.mark.usefixtures("packages")
def test_a_built_in_exporter_is_replaced_by_another_one_of_its_name(
    run: Run, declare: Declare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`calls` may be an exporter of any package; the reference platform serves those that are left."""
    declare('[account]\nkind = "python"\n[calls]\nkind = "python"\nexporter = "notes"\npackage = "other-exports"\n')
    monkeypatch.setenv("PORTABILITY_SOURCE_URL", f"sqlite:///{tmp_path}/platform.sqlite")
    monkeypatch.setenv("PORTABILITY_NOTICE_DIR", str(described(tmp_path / "notice", "calls/notes")))
    entries = json.loads(run("plugins", "--register", "--json").stdout)
    of_sources = [entry for entry in entries if entry["exporter"] != "portability"]
    assert [(entry["exporter"], entry["dataset"]) for entry in of_sources] == [
        ("account", "profile"),
        ("account", "organisation"),
        ("account", "memberships"),
        ("calls", "notes"),
    ]
