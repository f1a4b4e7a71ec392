"""The CRM of tests/newcomer/crm.sql on PostgreSQL, read by its decided map with an account that can only read."""

from __future__ import annotations

import servers
from repository import ROOT

from exporters.maps.reading import MapText
from exporters.sql.mapped.databases import SectionSources, kind_of, open_database
from exporters.sql.mapped.exporter import MappedExporter, MappedSection
from exporters.sql.mapped.kind import kind
from exporters.sql.proposal.draft import draft
from exporters.sql.proposal.propose import propose
from portability.api import SubjectKind
from portability.api.coverage import REMARKS
from portability.database.engine import READING
from portability.testing import MemoryFiles, SampleSources

NEWCOMER = ROOT / "tests" / "newcomer"
DECIDED = (NEWCOMER / "decided.toml").read_text("utf-8")


class CheckedDatabase:
    """A database of the newcomer's CRM, its owner's statements, and exporters of an account that can only read."""

    def __init__(self, server: servers.Postgres, name: str) -> None:
        self._server, self._name = server, name
        self._reader = f"reader_{name}"
        self.url = server.url(name).replace("postgres@", f"{self._reader}@")
        self.run((NEWCOMER / "crm.sql").read_text("utf-8"))
        self.run(f"create role {self._reader} login; alter role {self._reader} set default_transaction_read_only = on")
        self.run(f"grant select on all tables in schema public to {self._reader}")
        self._opened: list[MappedExporter] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def reader(self) -> str:
        return self._reader

    def run(self, statements: str) -> None:
        with self._server.connect(self._name) as connection:
            connection.execute(statements)

    def exporter(self, text: str = DECIDED) -> MappedExporter:
        backend, address = kind_of(self.url, "url")
        engine = open_database(backend, address, 60)
        sources = SectionSources(engine, SampleSources(engine, MemoryFiles({})))
        section = MappedSection("crm", kind.parse(MapText("crm.toml", text)), backend, sources)
        self._opened.append(MappedExporter(section))
        return self._opened[-1]

    def findings(self, text: str = DECIDED, *, remarks: bool = False) -> list[tuple[str, str, str, str]]:
        """Kind, table, column and dataset of each finding."""
        found = self.exporter(text).check().findings
        chosen = [one for one in found if (one.kind in REMARKS) == remarks]
        return [(str(one.kind), one.table, one.column, one.dataset) for one in chosen]

    def draft(self, subject: str) -> str:
        backend, address = kind_of(self.url, "url")
        engine = open_database(backend, address, 60)
        with engine.connect().execution_options(**READING) as connection:
            text = draft(propose(connection, subject, kind=SubjectKind.CONTACT, title="CRM"))
        engine.dispose()
        return text

    def close(self) -> None:
        for one in self._opened:
            one._section.sources.database.dispose()
