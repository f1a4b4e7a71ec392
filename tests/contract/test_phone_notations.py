"""Ways by phone numbers: a number is the same number in each of its notations, on each database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from source_accounts import mapped_source, owner_and_reader
from sqlalchemy import create_engine, text

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import Identity, Selection, Subject, SubjectKind
from portability.api.errors import BadMap
from portability.testing import sample_subject

MAP = """
title = "Clinic"
role = "controller"
kinds = ["contact", "phone"]
[[dataset]]
name = "messages"
title = "Messages"
description = "Messages to your number."
provenance = "observed"
kinds = ["contact"]
table = "messages"
tenant = "org"
rows = [{ column = "number", identities = ["phone"], where = [{ column = "folder", equals = "out" }] }]
fields.id = { text = "Id." }
[[dataset]]
name = "letters"
title = "Letters"
description = "Messages to several numbers."
provenance = "observed"
kinds = ["phone"]
table = "letters"
rows = [{ through = [{ table = "recipients", here = "letter" }], column = "number", identities = ["phone"] }]
fields.id = { text = "Id." }
"""
CERTAIN = ("+49 30 1234567", "+49301234567", "+49 (30) 123-4567", "+49 (0)30 1234567", "tel:+49-30-1234567")
NATIONAL = ("030 1234567", "0049301234567", "49301234567")
NORMALISED = 'identities = ["phone"], normalised = true'
OTHERS = ("+49307654321", "+4930123456", "+43301234567", "1234567 pieces of 030", "")


@pytest.fixture(params=["postgresql", "mysql", "sqlite"])
def clinic(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MappedExporter]:
    """A clinic with a message and a letter to each of these numbers, and messages of another company and folder."""
    owner, reader = owner_and_reader(request, request.param, tmp_path)
    made = create_engine(owner)
    rows = [(f"m{n:02}", "org_1", "out", number) for n, number in enumerate((*CERTAIN, *NATIONAL, *OTHERS))]
    elsewhere = [("other_company", "org_2", "out", CERTAIN[1]), ("other_folder", "org_1", "draft", CERTAIN[1])]
    with made.begin() as connection:
        for columns in (
            "messages (id varchar(20) primary key, org varchar(20), folder varchar(20), number varchar(40))",
            "letters (id varchar(20) primary key)",
            "recipients (letter varchar(20), number varchar(40))",
        ):
            connection.exec_driver_sql(f"create table {columns}")
        for key, org, folder, number in (*rows, *elsewhere):
            message = {"key": key, "org": org, "folder": folder, "number": number}
            connection.execute(text("insert into messages values (:key, :org, :folder, :number)"), message)
        for key, _org, _folder, number in rows:
            connection.execute(text("insert into letters values (:key)"), {"key": key})
            connection.execute(text("insert into recipients values (:key, :number)"), {"key": key, "number": number})
    exporter, engine = mapped_source(reader, MAP)
    yield exporter
    engine.dispose()
    made.dispose()


def records_and_gaps(
    exporter: MappedExporter, subject: Subject, name: str
) -> tuple[Sequence[object], Sequence[tuple[str, str]]]:
    """Return the ids of the records, and the gaps."""
    (dataset,) = (one for one in exporter.datasets if one.name == name)
    batches = [*exporter.export(subject, dataset, Selection())]
    gaps = [(gap.what, gap.reason) for batch in batches for gap in batch.gaps]
    return [record["id"] for batch in batches for record in batch.records], gaps


def test_a_contact_gets_the_rows_of_each_notation(clinic: MappedExporter) -> None:
    """A number with its country code leads to the person however it is written; one without is asked about."""
    phone = Identity("clinic", "phone", CERTAIN[0], verified=True, tenant="org_1")
    asked = sample_subject(SubjectKind.CONTACT, "con_1", phone, tenant="org_1")
    known = sample_subject(SubjectKind.CONTACT, "con_1", phone, *clinic.identities(asked), tenant="org_1")
    records, gaps = records_and_gaps(clinic, known, "messages")
    assert records == ["m00", "m01", "m02", "m03", "m04"]
    assert gaps == [
        ("messages/m05", "needs_review"),
        ("messages/m06", "needs_review"),
        ("messages/m07", "needs_review"),
    ]
    assert clinic.identity_use.reviewed == {
        "shop/messages_by_phone": "shop/messages",
        "shop/letters_by_phone": "shop/letters",
    }


def test_a_person_without_an_account_gets_the_rows_of_each_notation(clinic: MappedExporter) -> None:
    """Also by way of another table, and without a tenant."""
    asked = sample_subject(SubjectKind.PHONE, "+49301234567")
    known = sample_subject(SubjectKind.PHONE, "+49301234567", *clinic.identities(asked))
    records, gaps = records_and_gaps(clinic, known, "letters")
    assert records == ["m00", "m01", "m02", "m03", "m04"]
    assert gaps == [("letters/m05", "needs_review"), ("letters/m06", "needs_review"), ("letters/m07", "needs_review")]


def test_an_unproved_number_leads_nowhere(clinic: MappedExporter) -> None:
    """What anyone may have typed selects nothing, and asks no one."""
    phone = Identity("clinic", "phone", CERTAIN[0], verified=False, tenant="org_1")
    asked = sample_subject(SubjectKind.CONTACT, "con_1", phone, tenant="org_1")
    assert clinic.identities(asked) == ()
    assert records_and_gaps(clinic, asked, "messages") == ([], [])


def test_the_keys_of_another_source_lead_nowhere(clinic: MappedExporter) -> None:
    """A source that trusts another gets its identities, and message m08 of Bob is not m08 of Ann."""
    phone = Identity("clinic", "phone", CERTAIN[0], verified=True, tenant="org_1")
    key = Identity("other", "other/messages_by_phone", "m08", verified=True, tenant="org_1")
    assert records_and_gaps(
        clinic, sample_subject(SubjectKind.CONTACT, "con_1", phone, key, tenant="org_1"), "messages"
    ) == (
        ["m00"],
        [],
    )


def test_numbers_that_are_normalised_are_not_searched(tmp_path: Path) -> None:
    """A large table whose program writes each number in one form is read by its index alone."""
    owner = f"sqlite:///{tmp_path / 'clinic.db'}"
    made = create_engine(owner)
    with made.begin() as connection:
        connection.execute(text("create table messages (id text primary key, org text, folder text, number text)"))
        connection.execute(text("create table letters (id text primary key)"))
        connection.execute(text("create table recipients (letter text, number text)"))
        for key, number in (("normal", CERTAIN[1]), ("other", CERTAIN[2])):
            row = {"key": key, "number": number}
            connection.execute(text("insert into messages values (:key, 'org_1', 'out', :number)"), row)
    made.dispose()
    exporter, engine = mapped_source(owner, MAP.replace('identities = ["phone"]', NORMALISED))
    phone = Identity("clinic", "phone", CERTAIN[1], verified=True, tenant="org_1")
    subject = sample_subject(SubjectKind.CONTACT, "con_1", phone, tenant="org_1")
    assert exporter.identities(subject) == ()
    assert records_and_gaps(exporter, subject, "messages") == (["normal"], [])
    engine.dispose()


def test_only_numbers_can_be_normalised() -> None:
    """A way by ids that says it would be believed to do something."""
    stated = MAP.replace('identities = ["phone"]', NORMALISED.replace("phone", "user_id"))
    with pytest.raises(BadMap, match="normalised"):
        mapped_source("sqlite://", stated)
