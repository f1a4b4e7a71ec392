"""An archive is enough to continue with: exported, imported and exported again, it is the same."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

import mutated
import pytest
import servers
import unpacked
from examples import examples
from factories import world
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from importing import import_as
from judges.cases import Archive, exported
from sqlalchemy import select

from demo.plan import SeedPlan
from demo.seed import seed
from portability.database.engine import open_engine
from portability.plugins import EXPORTERS, find, load_exporters
from portability.source_file import OWN_RECORDS
from portability.sources import PlatformSources
from portability.storage import open_storage
from receiver.binding.columns import REFERENCES, RULES
from receiver.binding.tables import TABLES
from receiver.binding.target import ImportTarget
from receiver.importer.report import ImportReport
from receiver.importer.values import canonical
from receiver.ledger import tables

PLAN = SeedPlan(
    tenants=2, users=2, contacts=6, calls=6, chats=6, events=0, recordings=3, recording_seconds=(0.25, 0.25)
)
MANY = 100
"""Records at least, so that the comparison says something."""


@contextmanager
def database(kind: str, folder: Path, server: servers.Postgres) -> Iterator[str]:
    """An empty one."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/platform.db"
        return
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)


def export(folder: Path, source_url: str, tenant: str) -> Archive:
    """The switch export of a tenant from a platform's database, and from the files beside it."""
    made = world(folder, {}, source_url=source_url, recordings_url=f"file://{folder}/files", volume_members=30)
    sources = PlatformSources(made.place.settings)
    # Requests are of one deployment: an import does not take them.
    names = [name for name in find(EXPORTERS) if name != OWN_RECORDS]
    made.place.exporters.update(load_exporters(sources, names))  # type: ignore[attr-defined]  # a dict, made above
    archive = exported(made, f"tenant:{tenant}", profile="switch", formats=["jsonl"])
    sources.database.dispose()
    made.engine.dispose()
    return archive


def made_up(folder: Path, source_url: str, chance: int) -> str:
    """A platform whose values are anything; returns the tenant to export."""
    tenant = seed(source_url, open_storage(f"file://{folder}/files"), PLAN).examples.tenant
    engine = open_engine(source_url)
    random = Random(chance)
    for table in TABLES.values():
        mutated.mutate(engine, table, random)
    engine.dispose()
    return tenant


def carried_over(archive: Archive, folder: Path, into: str, tenant: str) -> ImportReport:
    """Imported into an empty database, and files beside it."""
    folders = unpacked.unpacked(archive.volumes, folder / "unpacked")
    return import_as(folders, into, ImportTarget(tenant=tenant), storage=open_storage(f"file://{folder}/files"))


def accounts_of_archive(into: str) -> dict[str, str]:
    """The archive's id of each account, by the id that it has here."""
    engine = tables.placed(open_engine(into))
    with engine.connect() as connection:
        rows = connection.execute(
            select(tables.ID.c.local_id, tables.ID.c.foreign_id).where(tables.ID.c.name == "users")
        )
        found = {row.local_id: row.foreign_id for row in rows}
    engine.dispose()
    return found


def compared(archive: Archive, accounts: Mapping[str, str]) -> Counter[tuple[str, str]]:
    """The records without the columns that the import table names, and with the archive's ids of accounts."""
    found: Counter[tuple[str, str]] = Counter()
    for (dataset, line), count in unpacked.lines(archive.volumes).items():
        record = json.loads(line)
        rules = RULES.get(dataset)
        if rules is not None:
            record = {name: value for name, value in record.items() if name not in rules.forbidden}
        for name in REFERENCES:
            if REFERENCES[name] == "users" and name in record:
                record[name] = accounts.get(record[name], record[name])
        found[dataset, canonical(record)] += count
    return found


@pytest.mark.requirement("R31", "R32")
@pytest.mark.parametrize(
    ("source", "target"), [("sqlite", "postgresql"), pytest.param("postgresql", "sqlite", marks=pytest.mark.system)]
)
@settings(max_examples=examples(2), phases=[Phase.explicit, Phase.reuse, Phase.generate])  # a seed has no smaller one
@given(chance=st.integers(0, 2**32))
def test_exported_imported_and_exported_again(
    source: str, target: str, chance: int, pg_server: servers.Postgres
) -> None:
    """The same records with the same counts, except columns that the import table names, and the same files.

    From one kind of database to the other.
    """
    with tempfile.TemporaryDirectory() as name:
        here, there = Path(name, "here"), Path(name, "there")
        here.mkdir()
        there.mkdir()
        with database(source, here, pg_server) as from_url, database(target, there, pg_server) as into:
            tenant = made_up(here, from_url, chance)
            first = export(here, from_url, tenant)
            report = carried_over(first, there, into, tenant)
            second = export(there, into, tenant)
            accounts = accounts_of_archive(into)
        assert (report.refused, report.quarantined, report.conflicts) == (0, 0, 0)
        assert all(not one.ignored_fields for one in report.datasets)
        assert compared(second, accounts) == compared(first, {})
        assert unpacked.hashes(second.volumes) == unpacked.hashes(first.volumes)
        assert unpacked.lines(first.volumes).total() > MANY
        assert unpacked.hashes(first.volumes)
