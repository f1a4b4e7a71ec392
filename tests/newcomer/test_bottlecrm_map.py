"""The map of BottleCRM, against SQL that is written by hand: its tables under forced row-level security.

The fast test makes the tables that the map reads. The system test installs BottleCRM itself (django-crm), whose
migrations make about 150 tables, and fills it by its own command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psycopg
import pytest
import servers

from exporters.maps.reading import MapText
from exporters.sql.mapped.databases import SectionSources, kind_of, open_database
from exporters.sql.mapped.exporter import MappedExporter, MappedSection
from exporters.sql.mapped.kind import kind
from portability.api import Identity, Selection, Subject, SubjectKind
from portability.testing import MemoryFiles, SampleSources, check_exporter, sample_subject

HERE = Path(__file__).parent
MAP = HERE / "bottlecrm.toml"
LINES_MAX = 25
DEALS = "select o.id from opportunity o join opportunity_contacts l on l.opportunity_id = o.id"
CASES = 'select c.id from "case" c join case_contacts l on l.case_id = c.id'
EXPECTED: Mapping[str, str] = {
    "contacts": "select id from contacts where id = %(contact)s and org_id = %(org)s and not is_sample",
    "opportunities": f"{DEALS} where l.contact_id = %(contact)s and o.org_id = %(org)s and not o.is_sample",
    "cases": f"{CASES} where l.contact_id = %(contact)s and c.org_id = %(org)s",
    "tasks": f"""select t.id from task t where t.org_id = %(org)s and (
        exists (select from task_contacts l where l.task_id = t.id and l.contact_id = %(contact)s)
        or t.opportunity_id in ({DEALS} where l.contact_id = %(contact)s and o.org_id = %(org)s and not o.is_sample)
        or t.case_id in ({CASES} where l.contact_id = %(contact)s and c.org_id = %(org)s))""",  # noqa: S608  # constants
}
"""By dataset: the ids of the rows of a contact, asked without row-level security."""


@pytest.fixture
def bottle(pg_server: servers.Postgres) -> Iterator[tuple[str, MappedExporter]]:
    """The database as an administrator, and the exporter of its map with an account that may only read."""
    name = pg_server.create_database()
    with pg_server.connect(name) as connection:
        connection.execute((HERE / "bottlecrm.sql").read_text())
    yield from opened_crm(pg_server, name)
    pg_server.drop_database(name)


def opened_crm(server: servers.Postgres, name: str, text: str | None = None) -> Iterator[tuple[str, MappedExporter]]:
    reader = f"reader_{name}"
    with server.connect(name) as connection:
        connection.execute(f"create role {reader} login")
        connection.execute(f"grant select on all tables in schema public to {reader}")
    backend, url = kind_of(server.url(name).replace("postgres@", f"{reader}@"), "url")
    found = kind.parse(MapText(MAP.name, text or MAP.read_text()))
    database = open_database(backend, url, 60)
    sources = SectionSources(database, SampleSources(database, MemoryFiles()))
    yield server.url(name), MappedExporter(MappedSection("crm", found, backend, sources))
    database.dispose()


def judge_contact(url: str, exporter: MappedExporter, contact: str, org: str) -> int:
    """Compare each dataset of a contact with the SQL; returns the number of rows."""
    subject = sample_subject(SubjectKind.CONTACT, contact, tenant=org)
    rows = 0
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        for dataset in exporter.datasets:
            if dataset.name in EXPECTED:
                query = EXPECTED[dataset.name]
                expected = connection.execute(query, {"contact": contact, "org": org}).fetchall()
                assert _ids(exporter, dataset.name, subject) == sorted({str(row[0]) for row in expected}), dataset.name
                rows += len(expected)
    return rows


def _ids(exporter: MappedExporter, name: str, subject: Subject) -> Sequence[str]:
    (dataset,) = (one for one in exporter.datasets if one.name == name)
    batches = exporter.export(subject, dataset, Selection())
    return sorted(str(record["id"]) for batch in batches for record in batch.records)


def test_every_contact_gets_their_rows(bottle: tuple[str, MappedExporter]) -> None:
    """Of each contact, and of none at the other organisation, exactly the rows that the SQL finds."""
    url, exporter = bottle
    exporter.prepare()
    total = 0
    for number in range(40):
        contact = f"20000000-0000-4000-8000-{number:012}"
        own, other = (f"10000000-0000-4000-8000-00000000000{(number + more) % 2}" for more in (0, 1))
        total += judge_contact(url, exporter, contact, own)
        assert _ids(exporter, "contacts", sample_subject(SubjectKind.CONTACT, contact, tenant=other)) == []
    assert total > 1000
    subject = sample_subject(
        SubjectKind.CONTACT, f"20000000-0000-4000-8000-{1:012}", tenant=own if number % 2 else other
    )
    check_exporter(exporter, subject)


def test_a_user_is_found_by_an_address_at_each_organisation(bottle: tuple[str, MappedExporter]) -> None:
    """The same address is a contact of both organisations; without a proof in the CRM they select nothing."""
    _, exporter = bottle
    user = sample_subject(SubjectKind.USER, "usr_1", Identity("account", "email", "C3@example.test", verified=True))
    found = exporter.identities(user)
    assert [(one.value[-2:], one.tenant[-1:] if one.tenant else "", one.verified) for one in found] == [
        ("06", "0", False),
        ("07", "1", False),
    ]
    assert _ids(exporter, "contacts", sample_subject(SubjectKind.USER, "usr_1", *found)) == []


def test_a_dataset_has_few_lines() -> None:
    """A dataset of the map has at most 25 lines, with its headers."""
    parts = MAP.read_text().split("[[dataset]]\n")[1:]
    assert len(parts) == 4
    assert max(len(part.rstrip().splitlines()) + 1 for part in parts) <= LINES_MAX


@pytest.mark.system
@pytest.mark.timeout(1800)
def test_bottlecrm_itself(pg_server: servers.Postgres, bottlecrm: str) -> None:
    """BottleCRM as it is installed from PyPI, filled by its own command: each contact gets what the SQL finds."""
    for url, exporter in opened_crm(pg_server, bottlecrm):
        exporter.prepare()
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            people = connection.execute("select id, org_id from contacts order by id").fetchall()
        assert people
        assert sum(judge_contact(url, exporter, str(contact), str(org)) for contact, org in people) > len(people)
