"""The first half of docs/newcomer.md: its commands take an unknown database to a verified archive."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers
from archives import export_json, records
from factories import whole_register
from newcomers import COMMAND, CONTACT, OF_DATABASE, READER, TENANT, TOML, Newcomer
from repository import ROOT
from workers import READY, Deployment, until

NEWCOMER = ROOT / "tests" / "newcomer"


@pytest.fixture
def newcomer(pg_server: servers.Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Newcomer]:
    name = pg_server.create_database()
    reader = f"reader_{name}"
    folder = tmp_path / "portability-data"
    folder.mkdir()
    notice = whole_register(tmp_path / "notice", "crm/contacts", "crm/opportunity", "crm/comment", "portability")
    settings = {"SOURCES": str(folder / "sources.toml"), "NOTICE_DIR": str(notice), "CLOCK_SECONDS": "0.3"}
    made = Newcomer(
        Deployment(folder, settings, forks_children=True), pg_server, name, iter(COMMAND.findall(OF_DATABASE))
    )
    made.change((NEWCOMER / "crm.sql").read_text("utf-8"))
    made.change(READER.format(reader))
    monkeypatch.setenv("CRM_URL", pg_server.url(name).replace("postgres@", f"{reader}@"))
    yield made
    made.here.stop()
    pg_server.drop_database(name)


def test_from_a_database_to_a_verified_archive(newcomer: Newcomer) -> None:
    """Propose, declare, check, decide, check, export, verify, read; then a column is new."""
    folder = newcomer.here.folder
    assert "Every column is undecided" in OF_DATABASE
    newcomer.next()
    (folder / "sources.toml").write_text(TOML.findall(OF_DATABASE)[0])
    assert "undecided" in newcomer.next(expect=1)
    (folder / "crm.toml").write_text((NEWCOMER / "decided.toml").read_text("utf-8"))
    assert "complete" in newcomer.next()

    up = newcomer.here.start("up", "--workers", "1")
    until(lambda: newcomer.here.log.exists() and "open http://" in newcomer.here.log.read_text(), "the pages are up")
    newcomer.next(CONTACT=CONTACT, TENANT=TENANT)
    newcomer.next()
    (export,) = json.loads(newcomer.run("list", "--json"))
    newcomer.next(EXPORT=export["id"])
    newcomer.next()

    archive = sorted((folder / "archive").rglob("*.zip"))
    document = export_json(archive)
    assert (document["complete"], document["gaps"]) == (True, [])
    assert [(one["source"], one["state"]) for one in document["coverage"]] == [("crm", "complete")]
    assert [one["name"] for one in records(archive, "crm", "opportunity")] == ["Deal 1", "Deal 2"]
    assert [one["email"] for one in records(archive, "crm", "contacts")] == ["c1@example.test"]
    assert [one["opportunity_id"][-1] for one in records(archive, "crm", "comment")] == ["1", "2"]
    with zipfile.ZipFile(archive[-1]) as opened:
        names = opened.namelist()
        assert not [name for name in names if b"token1" in opened.read(name)]
    assert any(name.endswith("index.html") for name in names)

    newcomer.change("alter table contacts add linkedin_url text")
    assert "+ contacts.linkedin_url" in newcomer.next()
    newcomer.run("source", "check", expect=1)
    asked = (
        "request",
        "--profile",
        "access",
        "--subject",
        f"contact:{CONTACT}",
        "--tenant",
        TENANT,
        "--wait",
        "--json",
    )
    again = json.loads(newcomer.run(*asked, expect=READY))
    shown = json.loads(newcomer.run("show", again["id"], "--json"))
    assert (shown["complete"], shown["outcome"]["own"]) == (False, "partial")
    assert next(newcomer.commands, None) is None
    up.terminate()
    up.wait(60)
