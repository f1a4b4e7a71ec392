"""The examples of the guides: installed as packages, checked by the public suites, used for a real export."""

from __future__ import annotations

import ast
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import repository
from factories import described, world
from sqlalchemy import create_engine, text

from portability import plugins
from portability.plugins import load_exporters
from portability.settings import load_settings
from portability.sources import PlatformSources
from portability.storage import open_storage

EXAMPLES = repository.ROOT / "docs" / "examples"
PAGES = {"exporter": "plugins.md", "format": "formats.md", "storage": "storages.md"}
KINDS = tuple(PAGES)
NOTES = 1_100
ALLOWED = {"portability.api", "portability.testing"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the examples, and `site` with all of them installed as pip does it, without any index."""
    folder = tmp_path_factory.mktemp("strangers")
    copies = [shutil.copytree(EXAMPLES / kind, folder / kind) for kind in KINDS]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(folder / "site"), *map(str, copies)], check=True, timeout=120)
    return folder


@pytest.fixture
def site(packages: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The examples as plug-ins of this process."""
    monkeypatch.syspath_prepend(str(packages / "site"))
    plugins.installed.cache_clear()
    yield
    plugins.installed.cache_clear()


def test_the_examples_keep_their_promises(packages: Path) -> None:
    """Each example's own test runs the public suite, in a process that knows nothing of this repository's tests."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{packages / 'site'}:{repository.ROOT}"}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *KINDS],
        cwd=packages,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (ran.returncode, "3 passed" in ran.stdout) == (0, True), ran.stdout


@pytest.mark.usefixtures("site")
def test_an_export_runs_through_all_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's source, format and storage, chosen by settings and a request: every record arrives."""
    source = f"sqlite:///{tmp_path}/helpdesk.db"
    engine = create_engine(source)
    with engine.begin() as connection:
        connection.execute(text("create table helpdesk_notes (id text, owner text, text text, urgency real)"))
        notes = [{"id": f"note_{n:04}", "urgency": n / NOTES} for n in range(NOTES)]
        connection.execute(text("insert into helpdesk_notes values (:id, 'usr_1', 'Some text', :urgency)"), notes)
    engine.dispose()
    monkeypatch.setenv("PORTABILITY_SOURCE_URL", source)
    monkeypatch.setenv("PORTABILITY_STORAGE_URL", f"sqlite://{tmp_path}/archives.db")
    monkeypatch.setenv("PORTABILITY_PIECE_BYTES", str(1 << 16))
    monkeypatch.setenv("PORTABILITY_NOTICE_DIR", str(described(tmp_path / "notice", "helpdesk/notes")))
    settings = load_settings(dir=tmp_path)
    exporters = load_exporters(PlatformSources(settings), ["helpdesk"])
    platform = world(tmp_path, exporters, storage=open_storage(settings.storage))

    identifier = platform.request(formats=["database"])
    platform.advance_all()

    shown = platform.view(identifier)
    assert (shown["state"], shown["complete"]) == ("ready", True)
    volumes = platform.fetch(identifier)
    assert platform.verify(volumes).ok
    assert _records(volumes) == [(note["id"], "Some text", note["urgency"]) for note in notes]


def _records(volumes: list[Path]) -> list[tuple[object, ...]]:
    """What the SQLite members of the volumes hold, in the order of their pieces."""
    found: list[tuple[object, ...]] = []
    for volume in volumes:
        with zipfile.ZipFile(volume) as archive:
            for name in sorted(name for name in archive.namelist() if name.endswith(".sqlite")):
                with closing(sqlite3.connect(":memory:")) as database:
                    database.deserialize(archive.read(name))
                    found += database.execute("select id, text, urgency from records").fetchall()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_imports_what_authors_may(kind: str) -> None:
    """A plug-in needs `portability.api` and `portability.testing`, and nothing else of this repository."""
    modules = list(repository.files("*.py", below=EXAMPLES / kind))
    imported = {name for path in modules for name in _imported(path) if name.split(".")[0] in repository.PACKAGES}
    assert imported == ALLOWED
    assert len(modules) == len(("module", "test"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_guide_shows_its_example(kind: str) -> None:
    """The code on the page is the code that runs: module, packaging and test, word for word."""
    shown = re.findall(
        r"^```(?:python|toml)\n(.*?)^```$", (EXAMPLES.parent / PAGES[kind]).read_text(), re.MULTILINE | re.DOTALL
    )
    for path in repository.files(below=EXAMPLES / kind):
        assert path.read_text() in shown, path.name


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or "."
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
