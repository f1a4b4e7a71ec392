"""The audit log has reads, refusals, failed logins and tokens; repeats are counted, so that it stays bounded."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest
from served import OTHER, OWNER, Served
from sqlalchemy import Engine

from portability.database.engine import reading
from portability.errors import DatabaseUnavailable
from portability.people.actor_names import short_issuer
from portability.requests.policy import Actor
from portability.trust import audit
from web.observations import KINDS_MAX, Observations


class _Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(served: Served, monkeypatch: pytest.MonkeyPatch) -> _Clock:
    """The clock of the server's counts, which begin anew: what other tests did is recorded before."""
    clock, observations = _Clock(), served.app.state.place.observations
    observations.end()
    monkeypatch.setattr(observations, "_clock", clock)
    return clock


def newest(engine: Engine, after: int) -> list[tuple[str, str, Any]]:
    with reading(engine) as connection:
        found = audit.events(connection, after=after)
    return [(event["action"], event["actor"], {**event["detail"], "export": event["export_id"]}) for event in found]


def head(served: Served) -> int:
    with reading(served.world.engine) as connection:
        return audit.head(connection).event_id


@pytest.mark.usefixtures("clock")
def test_reads_by_staff_are_recorded_and_reads_of_the_subject_are_not(served: Served) -> None:
    """Each thing that staff look at has an event, on pages and by the API; it is there before the answer begins."""
    export_id = served.ready()
    before, issuer = head(served), {"issuer": short_issuer(served.issuer.url)}
    for path in (f"/v1/exports/{export_id}", "/v1/exports", "/v1/requests", "/v1/erasure-holds"):
        assert served.call("GET", path, "olga", "officer").status_code == 200
    assert served.call("GET", f"/v1/exports/{export_id}").status_code == 200
    assert newest(served.world.engine, before) == [
        ("access.read", "officer:olga", {"action": "see_state", "export": export_id, **issuer}),
        ("access.read", "officer:olga", {"action": "list_all", "export": None, **issuer}),
        ("access.read", "officer:olga", {"action": "requests_read", "export": None, **issuer}),
        ("access.read", "officer:olga", {"action": "erasure_holds", "export": None, **issuer}),
    ]


def test_repeats_are_counted(served: Served, clock: _Clock) -> None:
    """Of a hundred equal reads in ten minutes one is recorded; the next one later brings the number of the others."""
    export_id = served.ready()
    before = head(served)
    for _ in range(100):
        assert served.call("GET", f"/v1/exports/{export_id}", "sam", "staff").status_code == 200
    seen = {"action": "see_state", "export": export_id, "issuer": short_issuer(served.issuer.url)}
    assert newest(served.world.engine, before) == [("access.read", "staff:sam", seen)]
    clock.seconds += 601
    served.call("GET", f"/v1/exports/{export_id}", "sam", "staff")
    assert newest(served.world.engine, before)[1:] == [
        ("access.read", "staff:sam", {**seen, "repeats": 99}),
        ("access.read", "staff:sam", seen),
    ]


@pytest.mark.usefixtures("clock")
def test_refusals_are_recorded(served: Served) -> None:
    """By whom, what and why; a foreign export too, by the pseudonym of the person who tried."""
    export_id = served.ready()
    before, issuer = head(served), {"issuer": short_issuer(served.issuer.url)}
    assert served.call("GET", f"/v1/exports/{export_id}", OTHER).status_code == 404
    assert served.call("GET", "/v1/requests", "sam", "staff").status_code == 403
    foreign, forbidden = newest(served.world.engine, before)
    assert (foreign[0], foreign[1][:12]) == ("access.refused", "subject:sub_")
    assert foreign[2] == {"action": "see_state", "why": "not_yours", "export": export_id, **issuer}
    why = {"action": "requests_read", "why": "not_allowed", "export": None, **issuer}
    assert forbidden == ("access.refused", "staff:sam", why)


@pytest.mark.usefixtures("clock")
def test_failed_logins_and_tokens_are_recorded(served: Served) -> None:
    """Without anything of the token."""
    before = head(served)
    served.issuer.person = served.issuer.claims(OWNER)
    with httpx.Client(base_url=served.url) as client:
        address = httpx.URL(httpx.get(client.get("/login").headers["location"]).headers["location"])
        assert client.get(address.copy_set_param("code", "forged")).status_code == 403
    headers = {"Authorization": "Bearer a.b.c"}
    assert httpx.get(f"{served.url}/v1/exports", headers=headers).status_code == 401
    nothing = {"export": None}
    assert newest(served.world.engine, before) == [
        ("login.failed", "provider", nothing),
        ("token.refused", "token", nothing),
    ]


def test_a_count_is_recorded_when_its_time_is_over(served: Served) -> None:
    """With the next event of any kind: it does not wait for an equal event."""
    clock, before = _Clock(), head(served)
    observations = Observations(served.world.engine, clock)
    for _ in range(4):
        observations.note("access.read", "staff:sam", None, action="list_all")
    clock.seconds += 601
    observations.note("token.refused", "token")
    observations.write()
    read = {"action": "list_all", "export": None}
    assert newest(served.world.engine, before) == [
        ("access.read", "staff:sam", read),
        ("access.read", "staff:sam", {**read, "repeats": 3}),
        ("token.refused", "token", {"export": None}),
    ]


@pytest.mark.usefixtures("clock")
def test_an_answer_is_given_while_the_log_cannot_be_written(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event stays due, and the next answer records it: an outage makes no internal error of a refusal."""
    before, observations = head(served), served.app.state.place.observations
    with monkeypatch.context() as away:

        def fail() -> None:
            raise DatabaseUnavailable("away")

        away.setattr(observations, "write", fail)
        answer = httpx.get(f"{served.url}/v1/exports", headers={"Authorization": "Bearer a.b.d"})
        assert answer.status_code == 401
        assert newest(served.world.engine, before) == []
    assert httpx.get(f"{served.url}/healthz").status_code == 200
    assert newest(served.world.engine, before) == [("token.refused", "token", {"export": None})]


def test_the_counts_of_a_process_are_recorded_at_its_end(served: Served) -> None:
    """And its memory is bounded: of too many kinds the oldest count is recorded early."""
    clock, before = _Clock(), head(served)
    observations = Observations(served.world.engine, clock)
    for _ in range(3):
        observations.note("access.read", "staff:sam", None, action="list_all")
    observations.write()
    assert not observations.is_due
    for number in range(KINDS_MAX):
        observations.note("access.read", "staff:sam", None, action=f"x{number}")
    assert ("access.read", 2) in [(seen.action, repeats) for seen, repeats in observations._due]
    observations._due.clear()
    observations.note("access.read", "staff:sam", None, action="x7")
    observations.end()
    assert newest(served.world.engine, before)[1:] == [
        ("access.read", "staff:sam", {"action": "x7", "repeats": 1, "export": None})
    ]


def test_ten_thousand_reads_and_refusals_are_bounded(served: Served, clock: _Clock) -> None:
    """Of one person in an hour: of each kind at most two events in ten minutes, which have all repeats."""
    observations, before = served.app.state.place.observations, head(served)
    for _ in range(10_000):
        observations.note("access.read", "staff:sam", None, action="list_all")
        observations.note("access.refused", "staff:sam", None, action="requests_read", why="not_allowed")
        clock.seconds += 0.36
    observations.end()
    found = newest(served.world.engine, before)
    assert len(found) <= 2 * 2 * 7
    for action in ("access.read", "access.refused"):
        assert sum(detail.get("repeats", 1) for name, _actor, detail in found if name == action) == 10_000


def test_equal_ids_of_two_issuers_are_two_people(served: Served) -> None:
    """Their repeats are counted apart, and the log says who is who."""
    observations, before = Observations(served.world.engine, _Clock()), head(served)
    issuers = ("https://one.example", "https://two.example")
    for issuer in issuers:
        for _ in range(3):
            observations.note("access.read", str(Actor("staff", "sam", issuer=issuer)), None, action="list_all")
    observations.end()
    found = newest(served.world.engine, before)
    seen = [(actor, detail["issuer"], detail.get("repeats")) for _action, actor, detail in found]
    names = [short_issuer(issuer) for issuer in issuers]
    assert sorted(seen, key=str) == sorted(
        [("staff:sam", name, repeats) for name in names for repeats in (None, 2)], key=str
    )
    assert names[0] == f"iss_{hashlib.sha256(b'https://one.example').hexdigest()[:12]}"
