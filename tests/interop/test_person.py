"""Nothing that a person wrote, and nothing that was written about them, is lost or changed by being hostile."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import platform_data
import pytest
from archives import export_json, members
from judges import person
from judges.cases import Archive
from sqlalchemy import create_engine
from vcon_schemas import faults

from exporters.reference import schema
from exporters.sql.exporter import SqlExporter
from portability.api import Person

CASE = "a person with hostile text everywhere"
MARK = "[redacted:other-address]"


@pytest.fixture
def archive(archives: Mapping[str, Archive]) -> Archive:
    return archives[CASE]


@pytest.fixture
def records(archive: Archive) -> Mapping[str, Mapping[str, Any]]:
    """Every record of every dataset by its id: ids are unique over all tables of this person."""
    lines = (
        json.loads(line)
        for name, body in members(archive.volumes)
        if name.endswith(".jsonl")
        for line in body.decode().split("\n")[:-1]
    )
    return {record["id"]: record for record in lines}


@pytest.mark.requirement("R23")
def test_every_text_of_the_platform_is_in_the_archive(records: Mapping[str, Mapping[str, Any]]) -> None:
    """Row by row, column by column: NUL, formulas, markup, ten megabytes; but for the one that no UTF-8 can carry.

    What tells of other people is replaced, however hostile.
    """
    compared = 0
    of_others, masked = set(_tagged(Person.STAFF, Person.OTHER)), set(_tagged(Person.NOTE))
    for table, row in person.rows():
        record = records[row["id"]]
        for column in table.c:
            expected = None if row[column.name] == person.LONE_SURROGATE else row[column.name]
            if (table.name, column.name) in of_others:
                assert not expected or record[column.name] != expected, f"{table.name}.{column.name} of {row['id']}"
            elif table is schema.memberships and column.name in {"member_name", "member_email"}:
                of_account = {"member_name": "full_name", "member_email": "email"}[column.name]
                assert record[column.name] == records[person.USER][of_account]
            elif (table.name, column.name) in masked and MARK in str(record[column.name]):
                continue  # an address of another person was in it
            elif column.name in record and isinstance(expected, str | dict | None):
                assert record[column.name] == expected, f"{table.name}.{column.name} of {row['id']}"
                compared += 1
            else:
                assert column.name in record or column.info, f"{table.name}.{column.name}"
    assert compared > 1_000
    assert set(person.TEXTS) <= {record.get("text") for record in records.values()}


def _tagged(*tags: Person) -> Iterator[tuple[str, str]]:
    """Tables and columns whose fields have one of these tags, or declared keys, whose texts are masked as notes are."""
    for exporter in platform_data.exporters(create_engine("sqlite://")).values():
        assert isinstance(exporter, SqlExporter)
        for source in exporter._tables.values():
            for column, field in zip(source.columns, source.dataset.fields, strict=False):
                tag = Person.NOTE if field.person is None and field.keys is not None else field.person
                if tag in tags:
                    yield source.table.fullname, column.name


def test_what_cannot_be_there_is_reported(archive: Archive) -> None:
    """Half a character and a recording without its bytes are gaps with their reasons; nothing else is missing."""
    document = export_json(archive.volumes)

    assert {
        (f"{gap['exporter']}/{gap['dataset']}", gap["what"], gap["reason"]) for gap in document["gaps"]
    } == person.GAPS
    assert document["complete"] is False
    assert {line["state"] for line in document["datasets"] if line["gaps"]} == {"partial"}


@pytest.mark.requirement("R24")
def test_files_are_there_byte_for_byte(archive: Archive) -> None:
    """For every name by a sender: the bytes as they are, with an extension that its media type allows, or none."""
    held = {
        name.rsplit("/", 1)[1]: body
        for name, body in members(archive.volumes)
        if name.startswith(("data/calls/recordings/", "data/chats/attachments/"))
    }
    names = {name: f"{name}.{'wav' if name.startswith('rec') else 'bin'}" for name in person.FILES}
    names |= {"att_lie": "att_lie.png", "att_sound": "att_sound.mp3"}

    del names["rec_cut"]
    assert held == {names[name]: person.FILES[name].content for name in names}


def test_each_conversation_is_a_valid_vcon(archive: Archive) -> None:
    """Three calls and two chats, each a document that matches the schema, for any text in them."""
    vcons = {
        name.rsplit("/", 1)[1].split(".")[0]: json.loads(body)
        for name, body in members(archive.volumes)
        if name.endswith(".vcon.json")
    }

    assert vcons.keys() == {*person.CALLS, *person.CHATS}
    assert [fault for vcon in vcons.values() for fault in faults(vcon)] == []
    assert vcons["chat_2"]["dialog"][-1]["body"] == person.HUGE
