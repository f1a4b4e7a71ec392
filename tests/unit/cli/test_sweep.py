from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from factories import world
from sweeping import AgedStorage, Shelf

from cli.main import main
from portability.api.errors import StorageRefused
from portability.database.engine import reading
from portability.storage.local import LocalStorage
from portability.trust import audit

Run = Callable[..., Result]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A state folder with two ready exports."""
    made = world(tmp_path, {})
    shelf = Shelf(made, AgedStorage(made.place.storage))
    for _ in range(2):
        shelf.stored(shelf.export("ready"))
    return shelf


@pytest.fixture
def run_sweep(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PORTABILITY_DIR", str(shelf.made.folder))
    runner = CliRunner(env={"COLUMNS": "200"})
    return lambda *arguments: runner.invoke(main, ["sweep", *arguments], catch_exceptions=False)


def orphan_counts(done: Result) -> dict[str, int]:
    return {one["kind"]: one["count"] for one in json.loads(done.stdout)["leftovers"] if one["count"]}


def test_nothing_to_do_is_reported(run_sweep: Run) -> None:
    """Exit code 0, one line; in JSON every kind with zero."""
    done = run_sweep()
    assert (done.exit_code, done.stdout.strip()) == (0, "no orphans, no lost volumes")
    document = json.loads(run_sweep("--json").stdout)
    assert document["lost"] == []
    assert document["dry_run"] is False
    assert {(one["count"], one["bytes"], one["kept"]) for one in document["leftovers"]} == {(0, 0, 0)}
    assert {one["kind"] for one in document["leftovers"]} >= {"upload", "volume", "excerpt", "row"}


def test_orphans_and_losses_are_reported_and_handled(run_sweep: Run, shelf: Shelf) -> None:
    """First what would be done, then what was; the audit log names the operator."""
    shelf.stored(shelf.export("failed"))
    lost = shelf.export("ready")
    shelf.volume(lost, "stored", 3)
    dry = run_sweep("--dry-run", "--json")
    assert (dry.exit_code, orphan_counts(dry)) == (0, {"volume": 1, "row": 1})
    assert json.loads(dry.stdout)["lost"] == [{"export": lost, "volumes": [3]}]
    output = run_sweep("--dry-run").stdout
    assert "would be removed" in output
    assert "would fail" in output
    assert lost in output
    assert len(shelf.objects()) == 3
    done = run_sweep()
    assert done.exit_code == 0
    assert lost in done.stdout
    assert "would" not in done.stdout
    assert len(shelf.objects()) == 2
    with reading(shelf.made.engine) as connection:
        actors = {event["action"]: event["actor"] for event in audit.events(connection, export_id=lost)}
        assert actors["export.failed"].startswith("operator:")


def test_what_could_not_be_removed_is_exit_code_1(
    run_sweep: Run, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted, and the exit code reports it to a calling script."""
    shelf.stored(shelf.export("failed"))

    def refuse(*_args: object) -> None:
        raise StorageRefused("retained")

    monkeypatch.setattr(LocalStorage, "delete", refuse)
    done = run_sweep("--json")
    assert done.exit_code == 1
    assert sum(one["kept"] for one in json.loads(done.stdout)["leftovers"]) == 2


def test_the_wrong_storage_is_refused_with_its_hint(run_sweep: Run, shelf: Shelf) -> None:
    """Everything is gone: exit code 1 and the error's code; `--force` continues."""
    for key in shelf.objects():
        shelf.storage.delete(key)
    done = run_sweep()
    assert done.exit_code == 1
    assert "[foreign_store]" in done.stderr
    assert "--force" in done.stderr
    done = run_sweep("--force", "--json")
    assert done.exit_code == 0
    assert len(json.loads(done.stdout)["lost"]) == 2
