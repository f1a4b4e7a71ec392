from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner, Result
from cryptography.fernet import Fernet

from cli.context import Context
from cli.import_report import print_report
from cli.main import main
from portability.api.errors import StorageRefused
from portability.settings import load_settings
from portability.storage.local import LocalStorage
from receiver.faults import NoRoom
from receiver.importer.report import ImportReport
from receiver.verify import unpack as unpacking
from receiver.verify.room import room_in

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent.parent.parent / "golden" / "portability-1"
CASES = {case["name"]: case for case in json.loads((GOLDEN / "cases.json").read_text())}
SWITCH = [str(GOLDEN / name) for name in CASES["switch of a tenant in two volumes"]["volumes"]]
ACCESS = [str(GOLDEN / name) for name in CASES["account of a user"]["volumes"]]
JWKS = ["--jwks", str(GOLDEN / "jwks.json")]


def run_import(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["import", *arguments])


def target(folder: Path) -> list[str]:
    """A database, a company in it, and a folder for the key of the journal."""
    return ["--into", f"sqlite:///{folder}/target.db", "--as-tenant", "ten_here", "--dir", str(folder / "state")]


def imported_json(*arguments: str, code: int = 0) -> Any:
    result = run_import("--json", *arguments)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_zips_are_verified_and_imported(tmp_path: Path) -> None:
    """One command imports the volumes as received; a repeated run changes nothing."""
    into = [*target(tmp_path), "--files", f"file://{tmp_path}/files"]

    first, second = imported_json(*SWITCH, *JWKS, *into), imported_json(*SWITCH, *JWKS, *into)

    new = {one["table"]: one["new"] for one in first["datasets"]}
    assert new["messages"] > 0
    assert {one["table"]: one["same"] for one in second["datasets"]} == new
    assert (first["refused"], first["profile"], first["complete"]) == (0, "switch", True)
    earlier = {"export", "profile", "complete", "gaps", "dry_run", "refused", "datasets", "left"}
    assert set(first) == earlier | {"import", "target", "quarantined", "conflicts", "repeated"}


def test_a_refusal_of_the_storage_names_the_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an import and of its undo: PORTABILITY_STORAGE_URL is the storage of this deployment's own archives."""
    into, storage = target(tmp_path), ["--files", f"file://{tmp_path}/files"]
    done = imported_json(*SWITCH, *JWKS, *into, *storage)

    def refused(*_: object) -> NoReturn:
        raise StorageRefused("cannot list: AccessDenied (403)")

    monkeypatch.setattr(LocalStorage, "check", refused)
    monkeypatch.setattr(LocalStorage, "delete", refused)
    undo = ["imports", "undo", "--json", done["import"], *into[:2], *into[-2:], *storage]
    results = [run_import("--json", *SWITCH, *JWKS, *into, *storage), CliRunner().invoke(main, undo)]
    hints = [json.loads(result.stdout)["error"]["hint"] for result in results]
    assert hints == ["check --files, the credentials and their rights; see docs/storage.md"] * 2


def test_zips_in_capitals_are_imported(tmp_path: Path) -> None:
    """As a folder and by their names: old file systems write names so."""
    (tmp_path / "stick").mkdir()
    for path in map(Path, SWITCH):
        shutil.copy(path, tmp_path / "stick" / path.name.upper())
    (tmp_path / "stick" / f"._{Path(SWITCH[0]).name}").write_bytes(b"not a ZIP")
    named = sorted(str(path) for path in (tmp_path / "stick").glob("*.ZIP"))

    first = imported_json(str(tmp_path / "stick"), *JWKS, *target(tmp_path))
    second = imported_json(*named, *JWKS, *target(tmp_path))

    assert len(named) == 2
    assert sum(one["new"] for one in first["datasets"]) == sum(one["same"] for one in second["datasets"]) > 0


def test_an_empty_name_of_keys_is_a_fault(tmp_path: Path) -> None:
    """Signatures do not go unchecked because a variable of the shell is empty."""
    result = run_import("--json", *SWITCH, "--jwks", "", *target(tmp_path))
    assert result.exit_code == 2
    assert "cannot read the JWK Set" in result.output


def test_unpacked_volumes_load_nothing_for_zips_and_people(tmp_path: Path) -> None:
    """With the result as JSON neither tables for a terminal, signatures nor phone numbers are loaded."""
    for path in SWITCH:
        with zipfile.ZipFile(path) as volume:
            volume.extractall(tmp_path / "in")
    heavy = ("rich", "joserfc", "phonenumbers", "email_validator", "pydantic", "archive.verify.volumes")
    asks = f"""
import atexit, sys
from cli.main import run
atexit.register(lambda: print([name for name in {heavy!r} if name in sys.modules]))
run()
"""
    words = ["import", str(tmp_path / "in"), "--into", f"sqlite:///{tmp_path}/target.db", "--as-tenant", "ten_here"]
    command = [sys.executable, "-c", asks, *words, "--journal-key", str(tmp_path / "key"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_people_get_a_table(tmp_path: Path) -> None:
    """And report what was not changed."""
    result = run_import(*SWITCH, *JWKS, *target(tmp_path), "--dry-run")

    assert result.exit_code == 0, result.output
    assert "chats/messages" in result.stdout
    # Within the 80 columns of a pipe no word is broken into letters: a count that is 0 everywhere has no column.
    (heading,) = (line.split() for line in result.stdout.splitlines() if line.startswith("  dataset"))
    assert heading in (["dataset", "table", "new"], ["dataset", "table", "new", "files"])
    assert "nothing was changed" in result.stdout
    assert not (tmp_path / "target.db").exists()


def test_an_archive_without_referred_data_is_said_to_be_so(capsys: pytest.CaptureFixture[str]) -> None:
    """It has no gap that could be counted: the reader is led to the outcome, which says what is absent."""
    report = ImportReport("e1", "portability", complete=False, gaps=0, dry_run=True, target="user:usr_1")
    print_report(Context(load_settings, json=False), report)
    said = " ".join(capsys.readouterr().out.split())
    assert "it is not complete: it has no gaps; outcome in its export.json says what is absent" in said
    assert "0 gaps" not in said


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([*ACCESS, *JWKS], "not_importable"),
        ([SWITCH[0], *JWKS], "archive_refused"),
        ([str(GOLDEN / "changed.zip"), *JWKS], "archive_refused"),
        ([str(GOLDEN.parent)], "bad_input"),
    ],
)
def test_what_cannot_be_imported_is_one_error(tmp_path: Path, arguments: list[str], code: str) -> None:
    """A copy to read, a part, a changed volume, a folder without any: the database is not even made."""
    assert (
        imported_json(*arguments, *target(tmp_path), code=1 if code == "archive_refused" else 2)["error"]["code"]
        == code
    )
    assert not (tmp_path / "target.db").exists()


@pytest.mark.parametrize("name", ["no folder/diff.jsonl", "link"])
def test_a_diff_that_cannot_be_written_is_an_error_with_a_hint(tmp_path: Path, name: str) -> None:
    """Before: the lines of a Python error. A link is refused, because the file has personal data."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    into = target(tmp_path)
    error = imported_json(*SWITCH, *JWKS, *into, "--diff", str(tmp_path / name), code=2)["error"]

    assert (error["code"], str(tmp_path / name) in error["message"]) == ("bad_input", True)
    assert error["hint"].startswith("check the paths of the command")
    assert not (tmp_path / "target.db").exists()


def test_a_full_disk_is_named_by_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of the difference, the key of the journal, or the folder for temporary files, with its variable."""

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "_write_file", full)
        error = imported_json(*SWITCH, *JWKS, *target(tmp_path), code=1)["error"]
    assert error["code"] == "no_room"
    assert error["message"].startswith(f"cannot write into {tempfile.gettempdir()}/portability-import-")
    assert "TMPDIR" in error["hint"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        error = imported_json(*SWITCH, *JWKS, *target(tmp_path), code=1)["error"]
    key = tmp_path / "state" / "import-journal.key"
    assert (error["code"], error["message"]) == ("storage_full", f"cannot use {key}: No space left on device")
    assert not key.exists()
    error = imported_json(*SWITCH, *JWKS, *target(tmp_path), "--dry-run", "--diff", "/dev/full", code=1)["error"]
    assert error["message"] == "cannot use /dev/full: No space left on device"


def test_no_inode_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk has free space then, and the words of the system would send an operator to the wrong number."""
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_favail=0, f_files=9))
    with pytest.raises(NoRoom, match="no inode"), room_in(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_import_without_target_is_an_error_with_a_hint(tmp_path: Path) -> None:
    """Whose data it is here is not guessed from the archive; nothing is made."""
    error = imported_json(*SWITCH, *JWKS, "--into", f"sqlite:///{tmp_path}/target.db", code=2)["error"]

    assert error["code"] == "wrong_target"
    assert "--as-tenant" in error["hint"]
    assert not (tmp_path / "target.db").exists()


def test_an_import_is_listed_undone_and_forgotten(tmp_path: Path) -> None:
    """The report names the import; its key is made beside the deployment, for its owner only."""
    report = imported_json(*SWITCH, *JWKS, *target(tmp_path), "--diff", str(tmp_path / "diff.jsonl"))
    into = target(tmp_path)[:2]
    state = ["--dir", str(tmp_path / "state"), "--json"]

    listed = CliRunner().invoke(main, ["imports", "list", *into, *state])
    assert [(row["id"], row["state"], row["target"]) for row in json.loads(listed.stdout)] == [
        (report["import"], "done", "tenant:ten_here")
    ]
    undone = json.loads(CliRunner().invoke(main, ["imports", "undo", report["import"], *into, *state]).stdout)
    assert undone["removed"] == sum(line["new"] for line in report["datasets"])
    assert undone["conflicts"] == 0
    forgotten = CliRunner().invoke(main, ["imports", "forget", *into, "--as-tenant", "ten_here", *state])
    assert json.loads(forgotten.stdout) == {"target": "tenant:ten_here", "entries": 0}
    for private in (tmp_path / "state" / "import-journal.key", tmp_path / "diff.jsonl"):
        assert private.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in (tmp_path / "diff.jsonl").read_text().splitlines()]
    assert {line["what"] for line in lines} == {"new"}


@pytest.mark.parametrize(
    "command", [["list"], ["undo", "0" * 16, "--journal-key", "KEY"], ["forget", "--as-tenant", "ten_here"]]
)
def test_a_database_that_is_not_there_is_an_error(tmp_path: Path, command: list[str]) -> None:
    """The URL is a mistake: nothing was listed, undone or forgotten there. No table and no file is made."""
    key = tmp_path / "key"
    key.write_bytes(Fernet.generate_key())
    words = [str(key) if word == "KEY" else word for word in command]
    result = CliRunner().invoke(main, ["imports", *words, "--into", f"sqlite:///{tmp_path}/target.db", "--json"])

    error = json.loads(result.stdout)["error"]
    assert (result.exit_code, error["code"]) == (2, "bad_target")
    assert error["message"] == f"there is no database {tmp_path}/target.db"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key"]


def test_a_database_that_refuses_is_named_with_its_reason(tmp_path: Path) -> None:
    """Before: `failed: OperationalError`, whatever the reason."""
    target = tmp_path / "target.db"
    with closing(sqlite3.connect(target)) as owner:
        owner.execute("pragma journal_mode = wal")
        owner.execute("create table t (x)")
    target.with_name("target.db-shm").unlink(missing_ok=True)
    target.with_name("target.db-shm").mkdir()
    result = CliRunner().invoke(main, ["imports", "list", "--into", f"sqlite:///{target}", "--json"])

    assert json.loads(result.stdout)["error"]["message"] == (
        "the database of --into failed: OperationalError SQLITE_READONLY"
    )


@pytest.mark.parametrize(
    "command", [["list"], ["undo", "0" * 16, "--journal-key", "KEY"], ["forget", "--as-tenant", "ten_here"]]
)
def test_a_database_without_imports_stays_as_it_is(tmp_path: Path, command: list[str]) -> None:
    """No table is made in it."""
    key = tmp_path / "key"
    key.write_bytes(Fernet.generate_key())
    (tmp_path / "target.db").touch()
    words = [str(key) if word == "KEY" else word for word in command]
    result = CliRunner().invoke(main, ["imports", *words, "--into", f"sqlite:///{tmp_path}/target.db", "--json"])

    assert result.exit_code == (2 if command[0] == "undo" else 0)
    with closing(sqlite3.connect(tmp_path / "target.db")) as database:
        assert database.execute("select name from sqlite_master").fetchall() == []


@pytest.mark.parametrize("words", [["list"], ["forget", "--as-tenant", "ten_here"]])
def test_a_url_that_is_cut_off_is_refused(tmp_path: Path, words: list[str]) -> None:
    """An address of IPv6 without its second bracket: no traceback, and nothing of the password."""
    into = ["--into", "postgresql+psycopg://app:hunter2@[::1/crm", "--dir", str(tmp_path)]
    result = CliRunner().invoke(main, ["imports", *words, *into, "--json"])

    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["message"] == "the URL of --into is not supported"
    assert "hunter2" not in result.output
