"""A draft and its check on BottleCRM itself: about 150 tables, judged by a search over its foreign keys in SQL."""

from __future__ import annotations

import json
import re
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import servers
from archives import export_json, records
from catalogues_made import shortest
from factories import whole_register
from newcomers import READER, Newcomer
from workers import READY, Deployment, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

HERE = Path(__file__).parent
MAP = (HERE / "bottlecrm.toml").read_text("utf-8")
SECONDS_MAX = 30
KEYS = """
select t.relname, a.attname, o.relname from pg_constraint c
join pg_class t on t.oid = c.conrelid join pg_class o on o.oid = c.confrelid
join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
where c.contype = 'f' and cardinality(c.conkey) = 1 and a.attname <> 'org_id'
"""
UNIQUE = """
select t.relname,
  array(select a.attname::text from pg_attribute a where a.attrelid = t.oid and a.attnum = any(i.indkey))
from pg_index i join pg_class t on t.oid = i.indrelid join pg_namespace n on n.oid = t.relnamespace
where i.indisunique and n.nspname = 'public'
"""
COLUMNS = "select table_name, column_name, data_type from information_schema.columns where table_schema = 'public'"
TIMES = {"timestamp with time zone", "timestamp without time zone", "date"}


def reachable(server: servers.Postgres, database: str, subject: str) -> Mapping[str, int]:
    """By table: the length of its shortest path to the subject, from the system catalogue, by a search of its own."""
    with server.connect(database) as connection:
        keys = connection.execute(KEYS).fetchall()
        unique = connection.execute(UNIQUE).fetchall()
        columns = connection.execute(COLUMNS).fetchall()
    ends: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for table, column, other in keys:
        ends[table].append((column, other))
    plain: dict[str, set[str]] = defaultdict(set)
    for table, column, kind in columns:
        if kind not in TIMES and column not in {"id", "org_id"}:
            plain[table].add(column)
    steps: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for table, found in ends.items():
        named = {column for column, _ in found}
        steps[table] += [(other, 1) for _, other in found if other != table]
        pairs = [set(names) for name, names in unique if name == table and len(names) > 1 and named.issuperset(names)]
        pairs = pairs or ([named] if len(named) > 1 and plain[table] == named else [])
        for column, left in found:
            steps[left] += [
                (right, 2)
                for other, right in found
                if other != column and right != left and any({column, other} <= pair for pair in pairs)
            ]
    return shortest(steps, subject)


@pytest.fixture
def newcomer(
    pg_server: servers.Postgres, bottlecrm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Newcomer]:
    reader = f"reader_{tmp_path.name}"[:60]
    folder = tmp_path / "portability-data"
    folder.mkdir()
    names = re.findall(r'^name = "(\w+)"', MAP, re.MULTILINE)
    notice = whole_register(tmp_path / "notice", *(f"crm/{name}" for name in names), "portability")
    settings = {"SOURCES": str(folder / "sources.toml"), "NOTICE_DIR": str(notice), "CLOCK_SECONDS": "0.3"}
    made = Newcomer(Deployment(folder, settings, forks_children=True), pg_server, bottlecrm, iter(()))
    made.change(READER.format(reader))
    (folder / "sources.toml").write_text('[crm]\nkind = "sql"\nurl = "env:CRM_URL"\nmap = "crm.toml"\n')
    monkeypatch.setenv("CRM_URL", pg_server.url(bottlecrm).replace("postgres@", f"{reader}@"))
    yield made
    made.here.stop()
    made.change(f"drop owned by {reader}; drop role {reader}")


def check_source(newcomer: Newcomer, *, expect: int) -> Any:
    (source,) = json.loads(newcomer.run("source", "check", "--json", expect=expect))["sources"]
    return source


def test_every_table_that_can_reach_the_subject_has_a_path(newcomer: Newcomer) -> None:
    """Each is a dataset, or a comment with its paths; the draft is a valid map, and takes less than 30 seconds."""
    begun = time.monotonic()
    whom = ("--subject-table", "contacts", "--kind", "contact")
    newcomer.run("source", "propose", "env:CRM_URL", *whom, "--to", "crm.toml")
    took = time.monotonic() - begun
    text = (newcomer.here.folder / "crm.toml").read_text("utf-8")
    document = tomllib.loads(text)
    proposed = {one["table"] for one in document["dataset"]} | set(re.findall(r'^# table = "(.+)"', text, re.MULTILINE))
    lengths = reachable(newcomer.server, newcomer.database, "contacts")
    source = check_source(newcomer, expect=1)

    assert took < SECONDS_MAX
    assert len(lengths) > 100
    assert lengths.keys() <= proposed
    assert len({one["table"] for one in document["dataset"]} | {*document["tables"]["undecided"]}) >= 149
    assert (source["state"], source["undecided"] > 1_000) == ("undecided", True)
    assert {one["kind"] for one in source["findings"]} <= {"undecided_column", "undecided_table", "unfit"}
    assert all("row-level security" in one["detail"] for one in source["findings"] if one["kind"] == "unfit")


def decided(findings: Sequence[Mapping[str, Any]]) -> str:
    """The map, with a decision on everything that a check found: it says nothing about a contact."""
    parts = MAP.partition("\n[tables]")[0].split("[[dataset]]\n")
    for number, part in enumerate(parts[1:], 1):
        table = re.search(r'^table = "(.+)"', part, re.MULTILINE)
        assert table
        names = [one["column"] for one in findings if (one["kind"], one["table"]) == ("undecided_column", table[1])]
        lines = ", ".join(f'{name} = "of the software"' for name in names)
        listed = re.sub(r"^undecided = .*\n", "", part, flags=re.MULTILINE)
        if "internal = { " in listed:
            parts[number] = listed.replace("internal = { ", f"internal = {{ {lines}{', ' if lines else ''}")
        else:
            parts[number] = listed.replace("[dataset.fields]\n", f"internal = {{ {lines} }}\n[dataset.fields]\n")
    tables = sorted({one["table"] for one in findings if one["kind"] == "undecided_table"})
    rest = "".join(f'"{name}" = "says nothing about a contact"\n' for name in tables)
    return "[[dataset]]\n".join(parts) + f"\n[tables.internal]\n{rest}"


def test_decisions_make_an_export_complete(newcomer: Newcomer) -> None:
    """With a map of four datasets the export is partial; with a decision on the rest it is complete, and verifies."""
    folder = newcomer.here.folder
    (folder / "crm.toml").write_text(MAP)
    before = check_source(newcomer, expect=1)
    assert before["faults"] == 0
    up = newcomer.here.start("up", "--workers", "1")
    until(lambda: newcomer.here.log.exists() and "open http://" in newcomer.here.log.read_text(), "the pages are up")
    partial = contact_export(newcomer, "partial")
    up.terminate()
    up.wait(60)
    assert {gap["reason"] for gap in partial["gaps"]} == {"coverage_undecided"}

    (folder / "crm.toml").write_text(decided(before["findings"]))
    after = check_source(newcomer, expect=0)
    assert (after["state"], after["undecided"]) == ("complete", 0)
    newcomer.here.log.unlink()
    up = newcomer.here.start("up", "--workers", "1")
    until(lambda: newcomer.here.log.exists() and "open http://" in newcomer.here.log.read_text(), "the pages are up")
    complete = contact_export(newcomer, "complete")
    up.terminate()
    up.wait(60)
    assert (complete["complete"], complete["gaps"]) == (True, [])


def contact_export(newcomer: Newcomer, name: str) -> dict[str, Any]:
    """The document of an export of a contact that has a sale; its archive is verified and has the viewer."""
    with newcomer.server.connect(newcomer.database) as connection:
        found = connection.execute(
            "select c.id, c.org_id from contacts c join opportunity_contacts l on l.contact_id = c.id"
            " where not c.is_sample order by c.id limit 1"
        ).fetchone()
    assert found is not None
    whom = ("--subject", f"contact:{found[0]}", "--tenant", str(found[1]))
    newcomer.run("instructions", "add", "--tenant", str(found[1]))
    asked = json.loads(
        newcomer.run("request", "--profile", "access", *whom, "--include", "crm", "--wait", "--json", expect=READY)
    )
    newcomer.run("fetch", asked["id"], "--to", name)
    newcomer.run("verify", name)
    paths = sorted((newcomer.here.folder / name).rglob("*.zip"))
    assert [one["id"] for one in records(paths, "crm", "contacts")] == [str(found[0])]
    return export_json(paths)
