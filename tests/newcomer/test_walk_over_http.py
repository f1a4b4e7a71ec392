"""The second half of docs/newcomer.md: the CRM by its REST API, through a proxy that breaks requests, to the viewer."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import servers
from archives import export_json, records
from browsing import chromium, opened
from crm_interface import TOKEN, crm_interface
from factories import whole_register
from http_faults import HttpFaults
from newcomers import COMMAND, CONTACT, OF_DATABASE, OF_HTTP, READER, TENANT, TOML, Newcomer
from playwright.sync_api import expect
from repository import ROOT
from through_faults import break_each
from workers import Deployment, until

pytestmark = pytest.mark.system

NEWCOMER = ROOT / "tests" / "newcomer"
DATASETS = ("contacts", "opportunity", "comment")
PARTIAL = 3
"""The exit code of a request whose archive lacks something."""


@pytest.fixture
def api_proxy(pg_server: servers.Postgres) -> Iterator[tuple[HttpFaults, str]]:
    """The proxy before the API of a CRM, and the name of its database."""
    name = pg_server.create_database()
    with pg_server.connect(name) as connection:
        connection.execute((NEWCOMER / "crm.sql").read_text("utf-8"))
    with crm_interface(pg_server, name, TENANT) as api, HttpFaults(api.listener.port) as running:
        yield running, name
    pg_server.drop_database(name)


@pytest.fixture
def newcomer(
    pg_server: servers.Postgres, api_proxy: tuple[HttpFaults, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Newcomer]:
    """Someone at the second half of the page, with the database and the API as sources."""
    faults, name = api_proxy
    reader = f"reader_{name}"
    folder = tmp_path / "portability-data"
    folder.mkdir()
    described = [f"{source}/{dataset}" for source in ("crm", "crm_api") for dataset in DATASETS]
    notice = whole_register(tmp_path / "notice", *described, "portability")
    settings = {"SOURCES": str(folder / "sources.toml"), "NOTICE_DIR": str(notice), "CLOCK_SECONDS": "0.3"}
    made = Newcomer(Deployment(folder, settings, forks_children=True), pg_server, name, iter(COMMAND.findall(OF_HTTP)))
    made.change(READER.format(reader))
    monkeypatch.setenv("CRM_URL", pg_server.url(name).replace("postgres@", f"{reader}@"))
    monkeypatch.setenv("CRM_TOKEN", TOKEN)
    (folder / "crm.toml").write_text((NEWCOMER / "decided.toml").read_text("utf-8"))
    (folder / "crm_api.toml").write_text((NEWCOMER / "decided_http.toml").read_text("utf-8"))
    sections = TOML.findall(OF_DATABASE)[0] + TOML.findall(OF_HTTP)[1]
    (folder / "sources.toml").write_text(sections.replace("https://crm.example", faults.endpoint))
    yield made
    made.here.stop()


def test_the_map_of_the_page_is_that_of_the_tests() -> None:
    """Each part of the example stands in the map that the tests run."""
    text = (NEWCOMER / "decided_http.toml").read_text("utf-8")
    parts = re.split(r"\n(?=\[\[)", TOML.findall(OF_HTTP)[0].partition("\n")[2])

    assert len(parts) == 3
    assert [part for part in parts if part.strip() not in text] == []


def test_the_records_are_those_of_the_database(newcomer: Newcomer, api_proxy: tuple[HttpFaults, str]) -> None:
    """Check, export through 429, 503, a cut answer and 401, fetch what is missing, verify: equal records of both."""
    up = newcomer.here.start("up", "--workers", "1")
    until(lambda: newcomer.here.log.exists() and "open http://" in newcomer.here.log.read_text(), "the pages are up")
    until(lambda: is_checked(newcomer, "crm_api"), "the clock's check of the API has ended: it would get the faults")
    assert "coverage_unknown" in newcomer.next()
    rules = break_each(api_proxy[0], lambda request: request.path == "/api/opportunities/")
    newcomer.next(CONTACT=CONTACT, TENANT=TENANT, expect=PARTIAL)
    (export,) = json.loads(newcomer.run("list", "--json"))
    newcomer.next(EXPORT=export["id"])
    document = export_json(fetched_archives(newcomer))
    assert [rule.used for rule in rules] == [1, 1, 1, 1]
    assert [(gap["what"], gap["reason"]) for gap in document["gaps"]] == [
        ("crm_api/opportunity: the rest of its records", "source_refused")
    ]

    newcomer.next(EXPORT=export["id"])
    until(lambda: state_of(newcomer, export["id"]) == ("ready", True), "what was missing is there")
    newcomer.next(EXPORT=export["id"])
    newcomer.next()
    assert next(newcomer.commands, None) is None
    up.terminate()
    up.wait(60)
    paths = fetched_archives(newcomer)
    assert (export_json(paths)["complete"], export_json(paths)["gaps"]) == (True, [])
    for dataset in DATASETS:
        of_database, of_api = (by_id(records(paths, source, dataset)) for source in ("crm", "crm_api"))
        assert of_api == of_database
    assert [len(records(paths, "crm_api", dataset)) for dataset in DATASETS] == [1, 2, 2]
    see_contact(newcomer.here.folder / "unpacked", paths)


def fetched_archives(newcomer: Newcomer) -> Sequence[Path]:
    return sorted((newcomer.here.folder / "archive-http").rglob("*.zip"))


def state_of(newcomer: Newcomer, export: str) -> tuple[str, bool]:
    shown = json.loads(newcomer.run("show", export, "--json"))
    return shown["state"], shown["complete"]


def is_checked(newcomer: Newcomer, source: str) -> bool:
    table = csv.DictReader(newcomer.run("report", "--csv", "sources").splitlines())
    return any(row["source"] == source and row["checked_at"] for row in table)


def by_id(found: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    return sorted(found, key=lambda record: str(record["id"]))


def see_contact(folder: Path, paths: Sequence[Path]) -> None:
    """Open the viewer of the last archive: it shows the contact and the sales, of the database and of the API."""
    for path in paths:
        with zipfile.ZipFile(path) as volume:
            volume.extractall(folder)
    index = max(folder.glob("*/index.html"))
    with chromium() as browser, opened(browser, index.as_uri()) as page:
        for source in ("crm", "crm_api"):
            page.goto(f"{index.as_uri()}#{source}")
            expect(page.get_by_text("c1@example.test").first).to_be_visible()
            expect(page.get_by_text("Deal 2").first).to_be_visible()
