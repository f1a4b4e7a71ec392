"""Files of records with a key of several parts: each record names its own file, in SQL and HTTP sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from http_sources import Answers, batches_of, open_source, person, resolved, stand_in
from sqlalchemy import create_engine

from exporters.maps.reading import MapText
from exporters.sql.mapped.databases import SectionSources, kind_of, open_database
from exporters.sql.mapped.exporter import MappedExporter, MappedSection
from exporters.sql.mapped.kind import kind
from portability.api import Batch, Selection, SubjectKind
from portability.testing import MemoryFiles, SampleSources, sample_subject

DATASET = """
[[dataset]]
name = "scans"
title = "Scans"
description = "Scans."
provenance = "provided"
key = ["folder", "page"]
"""
FIELDS = '[dataset.fields]\nfolder = { text = "Folder." }\npage = { text = "Page." }\n'
SQL = f"""title = "Desk"
role = "controller"
kinds = ["user"]
{DATASET}table = "scans"
rows = [{{ column = "person", identities = ["user_id"] }}]
file = {{ key = "stored" }}
{FIELDS}"""
HTTP = f"""title = "Desk"
role = "controller"
kinds = ["email"]
[[identity]]
from = "email"
get = "/users"
items = "users"
verify = {{ "address" = "email" }}
gives = "desk_user"
{DATASET}for_each = "desk_user"
get = "/scans"
scoped = true
[dataset.file]
get = "/files/{{folder}}/{{page}}"
{FIELDS}"""
CONTENTS = {("a", "b-c"): b"of a", ("a-b", "c"): b"of a-b", ("d", "e"): b"of d"}


def contents_of(batches: Sequence[Batch]) -> dict[tuple[object, object], bytes]:
    """By the key of each record, the content of the file that it names."""
    files = [(file.name, b"".join(file.open(0))) for batch in batches for file in batch.files]
    named = dict(files)
    assert len(named) == len(files)
    assert {"a-b-c.bin", "d-e.bin"} < named.keys()
    return {(one["folder"], one["page"]): named[str(one["file"])] for batch in batches for one in batch.records}


def answering(content: bytes) -> Answers:
    """An answer with this content."""
    return lambda _asked: (200, {}, content)


def test_records_of_a_database_have_files_of_their_own(tmp_path: Path) -> None:
    """A hyphen in the parts of two keys gives two names; all other names are the parts with hyphens between them."""
    url = f"sqlite:///{tmp_path / 'scans.db'}"
    owner = create_engine(url)
    with owner.begin() as connection:
        connection.exec_driver_sql(
            "create table scans (folder text not null, page text not null, person text, stored text,"
            " primary key (folder, page))"
        )
        for folder, page in CONTENTS:
            connection.exec_driver_sql(
                "insert into scans values (?, ?, 'usr_1', ?)", (folder, page, f"{folder}/{page}")
            )
    owner.dispose()
    backend, address = kind_of(url, "url")
    engine = open_database(backend, address, 60)
    files = MemoryFiles({"/".join(key): content for key, content in CONTENTS.items()})
    sources = SectionSources(engine, SampleSources(engine, files), files)
    exporter = MappedExporter(MappedSection("scans", kind.parse(MapText("scans.toml", SQL)), backend, sources))

    subject = sample_subject(SubjectKind.USER, "usr_1")
    assert contents_of(list(exporter.export(subject, exporter.datasets[0], Selection()))) == CONTENTS
    engine.dispose()


def test_records_of_an_http_source_have_files_of_their_own() -> None:
    """The names of files in HTTP sources follow the same rule."""
    with stand_in() as server:
        server.on("/users")(lambda _asked: {"users": [{"id": 7, "address": "ann@example.test"}]})
        server.on("/scans")(lambda _asked: [{"folder": folder, "page": page} for folder, page in CONTENTS])
        for (folder, page), content in CONTENTS.items():
            server.on(f"/files/{folder}/{page}")(answering(content))
        exporter = open_source(HTTP, server.url)

        assert contents_of(batches_of(exporter, "scans", resolved(exporter, person()))) == CONTENTS
