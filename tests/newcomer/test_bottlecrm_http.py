"""BottleCRM itself by its REST API, behind a proxy that breaks requests: the same records as from its database."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psycopg
import pytest
import servers
from bottlecrm import BottleApi
from http_faults import HttpFaults
from http_sources import memory_sources, open_source
from through_faults import FAULTS, break_each, read_through

from exporters.http.exporter import HttpExporter
from exporters.maps.reading import MapText
from exporters.sql.mapped.databases import SectionSources, kind_of, open_database
from exporters.sql.mapped.exporter import MappedExporter, MappedSection
from exporters.sql.mapped.kind import kind
from portability.api import CoverageKind, Record, Subject, SubjectKind
from portability.testing import MemoryFiles, SampleSources, check_exporter, sample_subject

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

HERE = Path(__file__).parent
MAP = (HERE / "bottlecrm_http.toml").read_text("utf-8")
NO_CONTACT = "00000000-0000-4000-8000-000000000000"
PEOPLE = """
with at_work as (
  (select l.contact_id as id from opportunity_contacts l join task t using (opportunity_id) order by 1 limit 1)
  union (select l.contact_id from case_contacts l join task t using (case_id) order by 1 limit 1)
  union (select contact_id from task_contacts order by 1 limit 1)
), others as (select id from contacts where id not in (select id from at_work) order by 1 limit 1)
select id from (select id from at_work union all select id from others) found join contacts c using (id)
where c.org_id::text = %s
"""
"""Contacts with a task of a sale, a case with a task, and a task, which may be one contact; and one more."""
TASKS = ("tasks", "tasks_of_opportunities", "tasks_of_cases")
"""The map of the API reads the tasks of a contact, of sales and of cases apart: each is another request."""


@pytest.fixture
def of_database(pg_server: servers.Postgres, bottlecrm: str) -> Iterator[MappedExporter]:
    reader = f"reader_http_{bottlecrm}"
    with pg_server.connect(bottlecrm) as connection:
        connection.execute(f"create role {reader} login; grant select on all tables in schema public to {reader}")
    backend, url = kind_of(pg_server.url(bottlecrm).replace("postgres@", f"{reader}@"), "url")
    found = kind.parse(MapText("bottlecrm.toml", (HERE / "bottlecrm.toml").read_text("utf-8")))
    database = open_database(backend, url, 60)
    sources = SectionSources(database, SampleSources(database, MemoryFiles()))
    yield MappedExporter(MappedSection("crm", found, backend, sources))
    database.dispose()
    with pg_server.connect(bottlecrm) as connection:
        connection.execute(f"drop owned by {reader}; drop role {reader}")


@pytest.fixture
def crm_proxy(bottlecrm_api: BottleApi) -> Iterator[HttpFaults]:
    with HttpFaults(bottlecrm_api.port) as running:
        yield running


@pytest.fixture
def over_http(
    bottlecrm_api: BottleApi, crm_proxy: HttpFaults, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., HttpExporter]:
    """Opens the API by its map."""
    monkeypatch.setenv("CRM_TOKEN", bottlecrm_api.token)
    keys = {"auth": {"kind": "bearer", "token": "env:CRM_TOKEN"}, "tenant": bottlecrm_api.org}
    return lambda **section: open_source(MAP, crm_proxy.endpoint, memory_sources(600), **keys, **section)


@pytest.fixture
def people(pg_server: servers.Postgres, bottlecrm: str, bottlecrm_api: BottleApi) -> Sequence[Subject]:
    with psycopg.connect(pg_server.url(bottlecrm).replace("+psycopg", "")) as connection:
        found = connection.execute(PEOPLE, (bottlecrm_api.org,)).fetchall()
    return [sample_subject(SubjectKind.CONTACT, str(row[0]), tenant=bottlecrm_api.org) for row in found]


def known(of_api: HttpExporter, subject: Subject) -> Subject:
    """The contact, with what the API finds."""
    return Subject(subject.kind, subject.tenant, subject.ref, (*subject.identities, *of_api.identities(subject)))


def of_one_form(found: Mapping[str, Sequence[Record]]) -> Mapping[str, Sequence[Record]]:
    """Records with the tasks of all datasets in one: a task of a contact and of a sale comes once."""
    tasks = {str(task["id"]): task for name in TASKS for task in found.get(name, ())}
    rest = {name: records for name, records in found.items() if name not in TASKS}
    return {**rest, "tasks": [tasks[key] for key in sorted(tasks)]}


def test_the_records_are_those_of_the_database(
    of_database: MappedExporter,
    over_http: Callable[..., HttpExporter],
    crm_proxy: HttpFaults,
    people: Sequence[Subject],
) -> None:
    """429, 503, a cut answer and 401 at each contact: every record, field by field, is that of the database."""
    of_api = over_http()
    counts: Counter[str] = Counter()
    for subject in people:
        expected = of_one_form(read_through(of_database, subject))
        person = known(of_api, subject)
        rules = break_each(crm_proxy)
        assert of_one_form(read_through(of_api, person)) == expected
        assert [rule.used for rule in rules] == [1] * len(FAULTS)
        counts.update({name: len(records) for name, records in expected.items()})

    assert len(people) >= 2
    assert {name for name, count in counts.items() if count} == {"contacts", "opportunities", "cases", "tasks"}


def test_the_map_fulfils_the_contract(over_http: Callable[..., HttpExporter], people: Sequence[Subject]) -> None:
    """The contact is known, an id that does not exist is not, and the exporter keeps all rules."""
    of_api = over_http()

    assert of_api.knows(people[0]) is True
    assert of_api.knows(sample_subject(SubjectKind.CONTACT, NO_CONTACT, tenant=people[0].tenant)) is False
    check_exporter(of_api, known(of_api, people[0]))


def test_the_check_names_what_no_one_has_decided(
    over_http: Callable[..., HttpExporter], people: Sequence[Subject]
) -> None:
    """Every value of the API's records is a field, internal, or listed as undecided, until each was compared."""
    listed = {(one["name"], name) for one in tomllib.loads(MAP)["dataset"] for name in one["undecided"]}
    compared: set[str] = set()
    for subject in people:
        findings = over_http(check={"contact_id": subject.identities[0].value}).check().findings
        left = {one.dataset for one in findings if one.kind is CoverageKind.NOT_COMPARED}
        compared |= {dataset for dataset, _ in listed} - left
        others = [one for one in findings if one.kind is not CoverageKind.NOT_COMPARED]

        assert {(one.dataset, one.column) for one in others} == listed
        assert {one.kind for one in others} == {CoverageKind.UNDECIDED_COLUMN}
        if compared == {dataset for dataset, _ in listed}:
            break
    assert compared == {dataset for dataset, _ in listed}
