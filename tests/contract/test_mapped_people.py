"""Maps that compare addresses, join tables and make documents, on a schema of their own with numbers as keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import phone_desk
import pytest
import servers
from crm_database import CrmDatabase
from packages import install

from exporters.maps.reading import MapText
from exporters.sql.mapped.databases import SectionSources, kind_of, open_database
from exporters.sql.mapped.exporter import MappedExporter, MappedSection
from exporters.sql.mapped.kind import kind
from portability import plugins
from portability.api import Batch, RowRemark, Selection, Subject, SubjectKind
from portability.api.errors import BadMap, SourceRefused
from portability.testing import MemoryFiles, SampleSources, check_exporter, sample_subject

BEGAN = Selection(began_at=datetime(2026, 2, 1, tzinfo=UTC))
MEMBERS = '  { members = "people", identities = ["email", "phone"], at = ["held_at"], gives = "meeting_key" },\n'


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mysql"])
def filled_desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CrmDatabase:
    """The filled phone desk; its reader has no right to write."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('desk') / 'desk.db'}"
        return phone_desk.fill_desk(url, url)
    if request.param == "mysql":
        maria: servers.MariaDB = request.getfixturevalue("mariadb_server")
        name = maria.create_database()
        return phone_desk.fill_desk(maria.url(name), maria.url(name, name, password="reader"))
    server: servers.Postgres = request.getfixturevalue("pg_server")
    name = server.create_database()
    made = phone_desk.fill_desk(server.url(name), server.url(name).replace("postgres@", f"reader_{name}@"))
    made.run(f"create role reader_{name} login", f"grant select on all tables in schema public to reader_{name}")
    return made


@pytest.fixture(autouse=True)
def shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hook that the map names, in a package of the company."""
    install(tmp_path, "desk-shapes", phone_desk.SHAPE, hooks={"phone_shape": "shape"})
    monkeypatch.syspath_prepend(tmp_path)
    plugins.installed.cache_clear()
    yield
    plugins.installed.cache_clear()


@pytest.fixture
def phones(filled_desk: CrmDatabase) -> Iterator[MappedExporter]:
    """The source; MariaDB cannot search the texts of a JSON value."""
    found = phones_by(
        filled_desk, phone_desk.MAP.read_text().replace(MEMBERS if "mysql" in filled_desk.url else "never", "")
    )
    yield found
    found._section.sources.database.dispose()


def phones_by(filled_desk: CrmDatabase, text: str) -> MappedExporter:
    """Open the source by a map."""
    found = kind.parse(MapText("phone_desk.toml", text))
    backend, url = kind_of(filled_desk.reader, "url")
    database = open_database(backend, url, 60)
    files = MemoryFiles({})
    sources = SectionSources(database, SampleSources(database, files), files)
    return MappedExporter(MappedSection("desk", found, backend, sources))


def resolved(source: MappedExporter, subject: Subject) -> Subject:
    """Find identities until there is no new one, as the host does."""
    while new := [one for one in source.identities(subject) if one not in subject.identities]:
        subject = replace(subject, identities=(*subject.identities, *dict.fromkeys(new)))
    return subject


def ann(source: MappedExporter) -> Subject:
    """Customer 1 of company 7, with all identities."""
    return resolved(source, sample_subject(SubjectKind.CONTACT, "1", tenant="7"))


def read_batches(source: MappedExporter, name: str, subject: Subject) -> Sequence[Batch]:
    (dataset,) = (one for one in source.datasets if one.name == name)
    return list(source.export(subject, dataset, BEGAN))


def ids_read(source: MappedExporter, name: str, subject: Subject) -> Sequence[object]:
    return [record["id"] for batch in read_batches(source, name, subject) for record in batch.records]


def gaps_read(source: MappedExporter, name: str, subject: Subject) -> Sequence[tuple[str, str]]:
    return [(gap.what, gap.reason) for batch in read_batches(source, name, subject) for gap in batch.gaps]


def test_the_contract_of_exporters(phones: MappedExporter) -> None:
    """All that exporters must do: cursors, slices, documents, other subjects, connections."""
    held = phones._section.sources.database.pool.checkedout  # type: ignore[attr-defined]  # a queue's method
    check_exporter(phones, ann(phones), selection=BEGAN, held=held)


def test_rows_by_an_address(phones: MappedExporter) -> None:
    """Calls of the person and of the second record, and calls under the number that only they had at that time."""
    subject = ann(phones)
    assert ids_read(phones, "customers", subject) == [1, 4]
    assert ids_read(phones, "calls", subject) == ["1", "2", "4", "7"]
    assert ids_read(phones, "lines", subject) == [1, 4]


def test_an_address_that_two_people_have(phones: MappedExporter) -> None:
    """A person decides: the call and its lines are gaps, also where the number was proved after the call."""
    bob = resolved(phones, sample_subject(SubjectKind.CONTACT, "2", tenant="7"))
    assert ids_read(phones, "calls", bob) == []
    assert gaps_read(phones, "calls", bob) == [("calls/3", "needs_review")]
    assert gaps_read(phones, "lines", bob) == [("lines/of_call=3", "needs_review")]
    assert gaps_read(phones, "calls", ann(phones)) == [("calls/6", "needs_review")]
    assert phones.identity_use.reviewed["call_key"] == "desk/calls"


def test_a_joined_table(phones: MappedExporter) -> None:
    """A field has the value of the joined row, and without such a row that of its own column."""
    records = [record for batch in read_batches(phones, "calls", ann(phones)) for record in batch.records]
    found = [(record["id"], record["agent_name"], record["agent_team"]) for record in records]
    assert found == [("1", "Dan", "north"), ("2", None, None), ("4", "a9", None), ("7", None, None)]


def test_the_period_of_a_part_is_that_of_the_whole(phones: MappedExporter) -> None:
    """Call 1 is past its end, and so is its line; call 7 has no period by the condition of the rule."""
    (calls,), (lines,) = (read_batches(phones, name, ann(phones))[-1:] for name in ("calls", "lines"))
    assert calls.remarks == {RowRemark.PAST_RETENTION: [0]}
    assert lines.remarks == {RowRemark.PAST_RETENTION: [0]}


def test_a_part_of_another_tenant_s_row(phones: MappedExporter) -> None:
    """Line 3 names company 8 and a call of company 7: no one gets it, and company 8 sees a gap."""
    other = sample_subject(SubjectKind.TENANT, "8")
    assert ids_read(phones, "lines", other) == []
    assert gaps_read(phones, "lines", other) == [("lines/3", "needs_review")]


def test_documents_of_conversations(phones: MappedExporter) -> None:
    """The hook makes a document of each call, with the parts that the person gets."""
    found = [record for batch in read_batches(phones, "vcon", ann(phones)) for record in batch.records]
    assert [(one["id"], one["dialog"]) for one in found] == [
        ("1", ["hello"]),
        ("2", ["by number"]),
        ("4", []),
        ("7", []),
    ]


def test_members_of_a_json_value(filled_desk: CrmDatabase, phones: MappedExporter) -> None:
    """An address in a list of participants leads to the row; on MariaDB a map cannot say it."""
    if "mysql" not in filled_desk.url:
        assert ids_read(phones, "meetings", ann(phones)) == [1, 3]
        return
    with pytest.raises(BadMap, match=r"phone_desk\.toml:\d+:\d+: mysql cannot search all texts of a JSON value"):
        phones_by(filled_desk, phone_desk.MAP.read_text()).prepare()


def test_rows_of_a_tenant_without_a_person_are_counted(phones: MappedExporter) -> None:
    """Calls 3, 5 and 6 lead to no one person: shared, the company's own call, and before the number was proved."""
    (calls,) = (one for one in phones.datasets if one.name == "calls")
    size = phones.count(sample_subject(SubjectKind.TENANT, "7"), calls, BEGAN)
    assert (size.records, size.unrelated) == (7, 3)


@pytest.mark.parametrize(
    ("address", "letters", "gaps"),
    [
        ("Rita@example.test", [1, 2], []),
        ("two@example.test", [], [("letters/3", "needs_review"), ("letters/4", "needs_review")]),
        ("user@example.test", [], []),
    ],
)
def test_an_address_without_account(
    phones: MappedExporter, address: str, letters: Sequence[int], gaps: Sequence[tuple[str, str]]
) -> None:
    """Rows of one person; a question if two people used the address; nothing if it is that of an account."""
    subject = resolved(phones, sample_subject(SubjectKind.EMAIL, address))
    assert ids_read(phones, "letters", subject) == letters
    assert gaps_read(phones, "letters", subject) == gaps
    assert phones.knows(subject) is True


def test_rows_of_an_account(phones: MappedExporter) -> None:
    """Its own rows, and rows without account under its proved address."""
    assert ids_read(phones, "letters", resolved(phones, sample_subject(SubjectKind.USER, "1"))) == [5, 6]


def test_who_is_known(phones: MappedExporter) -> None:
    """Accounts also without an address, people and tenants; anyone else is not."""
    known = [
        sample_subject(SubjectKind.USER, "1"),
        sample_subject(SubjectKind.CONTACT, "2", tenant="7"),
        sample_subject(SubjectKind.TENANT, "8"),
    ]
    unknown = [
        sample_subject(SubjectKind.USER, "2"),
        sample_subject(SubjectKind.CONTACT, "2", tenant="8"),
        sample_subject(SubjectKind.TENANT, "9"),
        sample_subject(SubjectKind.EMAIL, "nowhere@example.test"),
    ]
    assert [phones.knows(one) for one in known] == [True] * 3
    assert [phones.knows(one) for one in unknown] == [False] * 4


def test_a_join_that_repeats_rows_is_refused(filled_desk: CrmDatabase) -> None:
    """Another table may have several rows for each row: then a row would come twice."""
    text = phone_desk.MAP.read_text().replace(MEMBERS, "").replace('here = "code"', 'here = "team"')
    with pytest.raises(BadMap, match="several rows of agents may have the same team: rows would come twice"):
        phones_by(filled_desk, text).prepare()
    with pytest.raises(SourceRefused):
        ann(phones_by(filled_desk, text))
