"""Rows that an address leads to: one search for all plug-ins that a resolution needs, and each alone after a fault."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import platform_data as platform
import pytest
from sqlalchemy import Connection, Engine, event, text

from exporters.reference import schema
from exporters.sql.exporter import SqlExporter
from portability.api import Identity, Subject, SubjectKind
from portability.api.errors import SourceError, SourceRefused, SourceUnavailable
from portability.people.resolution import resolve, resolving
from portability.testing import SampleSources, sample_subject

ANN = sample_subject(SubjectKind.CONTACT, "con_1", tenant="ten_a")
ANN_EMAIL, ANN_PHONE = "ana@example.org", "+6281200000001"
LATER_AT = datetime(2026, 3, 4, 8, 30, tzinfo=UTC)


def put_a_call_and_a_chat(engine: Engine) -> None:
    """Neither names a contact: only the address leads to her."""
    unlinked: dict[str, Any] = {"tenant_id": "ten_a", "contact_id": None}
    call: dict[str, Any] = {"direction": "inbound", "caller_number": ANN_PHONE, "started_at": LATER_AT}
    platform.put(engine, platform.row(schema.calls, "her-call", **unlinked, **call))
    chat: dict[str, Any] = {"visitor_email": ANN_EMAIL, "opened_at": LATER_AT}
    platform.put(engine, platform.row(schema.conversations, "her-chat", **unlinked, **chat))


def led_to(engine: Engine, *names: str) -> tuple[set[str], set[str]]:
    """The rows that only an address leads to, and the plug-ins that failed."""
    exporters = {name: one for name, one in platform.exporters(engine).items() if not names or name in names}
    resolution = resolve(ANN, exporters, lambda _name, call: call())
    values = {one.value for one in resolution.subject.identities if one.verified}
    return values & {"her-call", "her-chat"}, set(resolution.unresolved)


def test_one_statement_searches_the_tables_of_all_plug_ins_that_are_needed(either: Engine) -> None:
    """Not those of plug-ins that the request leaves out."""
    put_a_call_and_a_chat(either)
    statements: list[str] = []

    @event.listens_for(either, "before_cursor_execute")
    def remember(_connection: Connection, _cursor: object, statement: str, *_others: object) -> None:
        statements.append(statement)

    assert led_to(either) == ({"her-call", "her-chat"}, set())
    (searched,) = [statement for statement in statements if "caller_number" in statement]
    assert "visitor_email" in searched
    assert "participants" in searched
    statements.clear()
    assert led_to(either, "calls", "crm") == ({"her-call"}, set())
    assert any("caller_number" in statement for statement in statements)
    assert not any("visitor_email" in statement for statement in statements)


def test_a_table_that_is_gone_costs_its_own_plug_in_only(either: Engine) -> None:
    """The search for all plug-ins fails; each then searches its own tables."""
    put_a_call_and_a_chat(either)
    with either.begin() as connection:
        connection.execute(text("ALTER TABLE conversations RENAME COLUMN visitor_email TO gone"))
    assert led_to(either) == ({"her-call"}, {"chats"})


@pytest.mark.parametrize("fault", [SourceRefused, SourceUnavailable])
def test_a_search_that_fails_for_all_is_repeated_alone(either: Engine, fault: type[SourceError]) -> None:
    """A table of another plug-in may be gone, locked or slow; outside of a resolution there is nothing to repeat."""

    def find(_connection: Connection, _subject: Subject) -> Iterator[Identity]:
        if resolving() or "alone" not in searched:
            searched.append("together")
            raise fault("the search failed")
        yield Identity("made", "call_id", "her-call", verified=True, tenant="ten_a")

    searched: list[str] = ["alone"]
    made = SqlExporter(SampleSources(either, platform.files()), title="Accounts", finder=find)
    resolution = resolve(ANN, {"made": made}, lambda _name, call: call())
    assert "her-call" in {one.value for one in resolution.subject.identities}
    assert resolution.unresolved == {}
    assert "together" in searched
    searched.clear()
    with pytest.raises(fault):
        made.identities(ANN)
    assert searched == ["together"]
