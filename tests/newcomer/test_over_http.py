"""The newcomer's CRM by its REST API, behind a proxy that breaks requests: the same records as from its database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import servers
from crm_interface import TOKEN, crm_interface
from decided_crm import CheckedDatabase
from http_faults import HttpFaults
from http_sources import StandIn, open_source
from through_faults import break_each, read_through

from exporters.http.exporter import HttpExporter
from portability.api import Subject, SubjectKind
from portability.testing import check_exporter, sample_subject

HERE = Path(__file__).parent
MAP = (HERE / "decided_http.toml").read_text("utf-8")
MAPS = (HERE / "decided_http.toml", HERE / "bottlecrm_http.toml")
LINES_MOST = 35
ORG = "11111111-0000-4000-8000-00000000000{}"
CONTACT = "33333333-0000-4000-8000-00000000000{}"
SEVERAL_PAGES = f"""
insert into opportunity select ('44444444-0000-4000-8000-0000000001' || lpad(n::text, 2, '0'))::uuid,
  '{ORG.format(1)}', 'Deal é ' || n, n * 0.10, NULL, '2026-01-02T03:04:05.678Z' from generate_series(1, 7) n;
insert into opportunity_contacts select 100 + n, ('44444444-0000-4000-8000-0000000001' || lpad(n::text, 2, '0'))::uuid,
  '{CONTACT.format(1)}' from generate_series(1, 7, 2) n
"""  # noqa: S608  # constants


@pytest.fixture
def sales_database(pg_server: servers.Postgres) -> Iterator[CheckedDatabase]:
    """The CRM, with seven more sales at the first company, four of them with the first contact."""
    made = CheckedDatabase(pg_server, pg_server.create_database())
    made.run(SEVERAL_PAGES)
    yield made
    made.close()
    pg_server.drop_database(made.name)


@pytest.fixture
def api(
    sales_database: CheckedDatabase, pg_server: servers.Postgres, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StandIn]:
    monkeypatch.setenv("CRM_TOKEN", TOKEN)
    with crm_interface(pg_server, sales_database.name, ORG.format(1)) as server:
        yield server


def over_http(url: str, **section: Any) -> HttpExporter:
    return open_source(MAP, url, auth={"kind": "bearer", "token": "env:CRM_TOKEN"}, tenant=ORG.format(1), **section)


def crm_contact(number: int, found: HttpExporter | None = None, org: int = 1) -> Subject:
    """A contact, with what the source finds for it."""
    subject = sample_subject(SubjectKind.CONTACT, CONTACT.format(number), tenant=ORG.format(org))
    more = () if found is None else tuple(found.identities(subject))
    return Subject(subject.kind, subject.tenant, subject.ref, (*subject.identities, *more))


def test_the_records_are_those_of_the_database(sales_database: CheckedDatabase, api: StandIn) -> None:
    """Each contact of the company, in pages of two: every dataset has the same records by both maps."""
    of_sql, of_http = sales_database.exporter(), over_http(api.url)
    counts = []
    for number in (1, 2):
        expected = read_through(of_sql, crm_contact(number))
        assert read_through(of_http, crm_contact(number, of_http)) == expected
        counts.append([len(records) for records in expected.values()])

    assert counts == [[1, 6, 2], [1, 1, 1]]
    check_exporter(of_http, crm_contact(1, of_http))


def test_faults_on_the_way_change_no_record(sales_database: CheckedDatabase, api: StandIn) -> None:
    """429, 503, a cut stream and 401 at the list of sales: the reading waits, repeats, or goes on where it was."""
    expected = read_through(sales_database.exporter(), crm_contact(1))
    with HttpFaults(api.listener.port) as proxy:
        of_http = over_http(proxy.endpoint)
        subject = crm_contact(1, of_http)
        rules = break_each(proxy, lambda request: request.path == "/api/opportunities/")

        assert read_through(of_http, subject) == expected
        assert [rule.used for rule in rules] == [1, 1, 1, 1]


def test_a_contact_of_another_company_is_unknown(api: StandIn) -> None:
    """The token is of one company: another one's contact is not found, and neither is an id that does not exist."""
    of_http = over_http(api.url)

    assert [of_http.knows(crm_contact(number)) for number in (1, 3, 9)] == [True, False, False]
    assert of_http.identities(crm_contact(1, org=2)) == ()
    assert [len(records) for records in read_through(of_http, crm_contact(3, of_http)).values()] == [0, 0, 0]


def test_the_check_compares_the_interface_with_the_map(sales_database: CheckedDatabase, api: StandIn) -> None:
    """Everything is decided; a column that comes with a release is undecided in the interface as in the database."""
    checked = over_http(api.url, check={"contact_id": CONTACT.format(1)})
    assert checked.check().findings == ()

    sales_database.run("alter table contacts add linkedin_url text")
    for coverage in (checked.check(), sales_database.exporter().check()):
        assert [(str(one.kind), one.column, one.dataset) for one in coverage.findings] == [
            ("undecided_column", "linkedin_url", "contacts")
        ]


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_a_dataset_over_http_has_few_lines(path: Path) -> None:
    """A dataset of an HTTP map has at most 35 lines, with its headers."""
    parts = path.read_text("utf-8").split("[[dataset]]\n")[1:]

    assert len(parts) in {3, 6}
    assert max(len(part.rstrip().splitlines()) + 1 for part in parts) <= LINES_MOST
