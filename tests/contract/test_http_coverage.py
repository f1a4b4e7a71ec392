"""The check of an HTTP map: what the source refuses, and what the records of a person for tests have beside the map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from http_sources import StandIn, open_source, stand_in

from exporters.http.expressions import roots
from portability.api import CheckingExporter, Coverage
from portability.api.coverage import REMARKS, CoverageKind
from portability.api.errors import SourceUnavailable
from portability.coverage import checks
from portability.coverage.checks import CheckedSource
from portability.coverage.state import state_after

MAP = """
title = "Desk"
role = "controller"
kinds = ["email"]

[[identity]]
from = "email"
get = "/users"
params = { email = "{email}" }
items = "users"
verify = { "email" = "email" }
gives = "desk_user"

[[dataset]]
name = "tickets"
title = "Tickets"
description = "Requests that you sent."
provenance = "provided"
for_each = "desk_user"
get = "/users/{desk_user}/tickets"
items = "tickets"
verify = { "owner.id" = "desk_user" }
created = "created_at"
[dataset.fields]
id = { text = "Identifier." }
subject = { at = "title || subject", text = "What it is about." }
created_at = { type = "datetime", text = "When it came in." }
[dataset.withheld]
score = { what = "a score", reason = "it is about the work of staff", kind = "other_person" }
[dataset.internal]
url = "an address of the interface"

[[dataset]]
name = "messages"
title = "Messages"
description = "Messages of your tickets."
provenance = "provided"
parent = "tickets"
get = "/tickets/{tickets.id}/messages"
items = "messages"
[dataset.fields]
id = { text = "Identifier." }
ticket_id = { at = "parent:id", text = "The ticket." }
text = { at = "body", text = "What was written." }
"""
TESTER = {"email": "tester@example.test"}
TICKET = {"id": 1, "title": "x", "owner": {"id": 7}, "created_at": "2026-01-02T03:04:05Z", "score": 3, "url": "/1"}
Found = tuple[str, str, str, str]


@pytest.fixture
def desk() -> Iterator[StandIn]:
    """A desk that knows one person, made for tests, with a ticket and its message."""
    with stand_in() as server:
        server.on("/users")(
            lambda asked: {"users": [{"id": 7, **TESTER}] if asked.query["email"] == TESTER["email"] else []}
        )
        server.on("/users/7/tickets")(lambda _asked: {"tickets": [TICKET]})
        server.on("/tickets/1/messages")(lambda _asked: {"messages": [{"id": 1, "body": "text"}]})
        yield server


def check_of_desk(desk: StandIn, person: Mapping[str, str] = TESTER, text: str = MAP) -> Coverage:
    exporter = open_source(text, desk.url, check=person)
    assert isinstance(exporter, CheckingExporter)
    return exporter.check()


def costing_data(coverage: Coverage) -> list[Found]:
    return [(str(one.kind), one.table, one.column, one.dataset) for one in coverage.findings if one.kind not in REMARKS]


def test_a_map_that_fits_has_no_finding(desk: StandIn) -> None:
    """Fields, what is withheld, what is internal, and what only verifies are decided; no other person is asked for."""
    coverage = check_of_desk(desk)

    assert coverage.findings == ()
    assert coverage.is_described is False
    assert desk.paths() == ["/users", "/users/7/tickets", "/users/7/tickets", "/tickets/1/messages"]


def test_a_value_that_the_map_does_not_name_is_undecided(desk: StandIn) -> None:
    """It is named with its type and never with its value, and the source is undecided, although it lists nothing."""
    desk.on("/users/7/tickets")(lambda _asked: {"tickets": [{**TICKET, "mood": "secret words"}]})
    coverage = check_of_desk(desk)
    declaration = open_source(MAP, desk.url).declaration

    assert costing_data(coverage) == [("undecided_column", "tickets", "mood", "tickets")]
    assert coverage.findings[0].detail == "str"
    assert (coverage.undecided, state_after(CheckedSource(declaration, coverage).coverage)) == (1, "undecided")


def test_what_the_map_lists_as_undecided_is_undecided_without_a_request(desk: StandIn) -> None:
    """A name in `undecided` decides nothing; it comes once, although the records have it, too."""
    desk.on("/users/7/tickets")(lambda _asked: {"tickets": [{**TICKET, "mood": 1}]})
    text = MAP.replace('created = "created_at"\n', 'created = "created_at"\nundecided = ["mood"]\n')

    for person in ({}, TESTER):
        assert costing_data(check_of_desk(desk, person, text)) == [("undecided_column", "tickets", "mood", "tickets")]


def test_a_renamed_value_is_missing_and_undecided(desk: StandIn) -> None:
    """Its field would be null for ever; and the new name is not decided."""
    desk.on("/tickets/1/messages")(lambda _asked: {"messages": [{"id": 1, "content": "text"}]})

    assert costing_data(check_of_desk(desk)) == [
        ("undecided_column", "messages", "content", "messages"),
        ("missing_column", "messages", "text", "messages"),
    ]


def test_a_value_of_another_type_does_not_fit(desk: StandIn) -> None:
    desk.on("/users/7/tickets")(lambda _asked: {"tickets": [{**TICKET, "created_at": "yesterday"}]})

    assert costing_data(check_of_desk(desk)) == [("wrong_type", "tickets", "created_at", "tickets")]


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ((403, {}, {}), "messages: the source answers 403"),
        ((404, {}, {}), "messages: the source answers 404"),
        ((200, {}, b"<html>"), "messages: the answer is not JSON"),
        ((200, {}, {"messages": [{"body": "no id"}]}), "messages: a record has no id, which identifies it"),
    ],
)
def test_each_dataset_has_its_own_fault(desk: StandIn, answer: Any, seen: str) -> None:
    """The other dataset fits; the fault says what the source answered, and no value."""
    desk.on("/tickets/1/messages")(lambda _asked: answer)
    coverage = check_of_desk(desk)

    assert costing_data(coverage) == [("query_refused", "messages", "", "messages")]
    assert [one.detail for one in coverage.findings] == [seen]


def test_a_look_up_that_does_not_find_the_person_does_not_fit(desk: StandIn) -> None:
    """An address that the source does not find, or a `verify` that never fits: everyone would get nothing."""
    for verified, kind in (("id", "unfit"), ("mail", "query_refused")):
        text = MAP.replace('verify = { "email" = "email" }', f'verify = {{ "{verified}" = "email" }}')
        coverage = check_of_desk(desk, TESTER, text)

        assert costing_data(coverage) == [(kind, "/users", "", "")]
        assert [str(one.kind) for one in coverage.findings][1:] == ["not_compared", "not_compared"]


def test_a_look_up_that_is_refused_is_a_fault(desk: StandIn) -> None:
    desk.on("/users")(lambda _asked: (403, {}, {}))

    for person in ({}, TESTER):
        assert ("query_refused", "/users", "", "") in costing_data(check_of_desk(desk, person))


def test_without_a_person_for_tests_only_refusals_are_seen(desk: StandIn) -> None:
    """No one is asked for: an identifier that the source does not know is a normal answer, and nothing is compared."""
    coverage = check_of_desk(desk, {})

    assert costing_data(coverage) == []
    assert [(str(one.kind), one.dataset) for one in coverage.findings] == [
        ("not_compared", "tickets"),
        ("not_compared", "messages"),
    ]
    assert [asked.query.get("email") for asked in desk.asked[:2]] == ["no-one@coverage.invalid", None]
    desk.on("/users/0/tickets")(lambda _asked: (403, {}, {}))
    assert ("query_refused", "tickets", "", "tickets") in costing_data(check_of_desk(desk, {}))


def test_an_answer_about_no_one_is_compared_with_nothing(desk: StandIn) -> None:
    """A source that gives any record for an unknown identifier: that record is another person's."""
    desk.on("/users/0/tickets")(lambda _asked: {"tickets": [{**TICKET, "owner": {"id": 0}, "mood": 1}]})

    assert costing_data(check_of_desk(desk, {})) == []


def test_an_outage_is_no_finding(desk: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check has not ended, and is made again."""
    monkeypatch.setattr("exporters.http.client.FIRST_PAUSE_SECONDS", 0.001)
    desk.on("/users/7/tickets")(lambda _asked: (500, {}, {}))

    with pytest.raises(SourceUnavailable, match="tickets: the source answers 500"):
        check_of_desk(desk)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a", {"a"}),
        ("a.b", {"a"}),
        ("a.b || c[0].d", {"a", "c"}),
        ("a[?b == `1`].c | [0]", {"a"}),
        ("join(' ', [a, b.c])", {"a", "b"}),
        ("{x: a, y: b[*].c}", {"a", "b"}),
        ('"a-b".c', {"a-b"}),
        ("not_null(a, b)", {"a", "b"}),
        ("a[].b[].c", {"a"}),
        ("!a && b > c", {"a", "b", "c"}),
        ("@", set()),
    ],
)
def test_an_expression_has_roots(expression: str, expected: set[str]) -> None:
    """The names that it takes from the record itself: what is behind them belongs to these values."""
    assert roots(expression) == expected


@pytest.mark.parametrize(("kind", "is_found"), [("deskuser", False), ("desk_user", True), ("user_id", True)])
def test_a_kind_of_identities_that_no_source_finds_does_not_fit(desk: StandIn, kind: str, *, is_found: bool) -> None:
    """A kind that is written in another way would select nothing, for everyone, without a word."""
    text = MAP.replace("desk_user", kind).replace(f'gives = "{kind}"', 'gives = "desk_user"')
    found = checks.check("desk", {"desk": open_source(text, desk.url)}).coverage.findings
    detail = f"it selects by identities of the kind {kind!r}, which no source finds"

    assert (detail in {one.detail for one in found if one.kind is CoverageKind.UNFIT}) is not is_found


def test_another_source_may_find_a_kind_of_identities(desk: StandIn) -> None:
    """The sources of a deployment find identities for each other."""
    text = MAP.replace("desk_user", "agent_id").replace('gives = "agent_id"', 'gives = "desk_user"')
    finder = open_source(MAP.replace("desk_user", "agent_id"), desk.url)
    findings = checks.check("desk", {"desk": open_source(text, desk.url), "other": finder}).coverage.findings

    assert "no source finds" not in " ".join(one.detail for one in findings)
