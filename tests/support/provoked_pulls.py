"""Causes of events about providers that ask people for copies and fetch them."""

from __future__ import annotations

from provoking import Stage, provokes
from pulling import PullClient
from transferring import EXPORTER

from worker.clock import pulls


@provokes("pull.requested", "pull.allowed", "pull.token_issued", "pull.started", "transfer.started")
def a_pull(stage: Stage) -> None:
    client = PullClient(stage.served.url, stage.other)
    with stage.browser(stage.person()) as visitor:
        client.tokens_of(visitor, EXPORTER)
    client.call("POST", "/v1/pulls")
    stage.world.advance_all()
    assert pulls.send_ready(stage.world.engine, stage.world.place.settings) == 1


@provokes("pull.declined")
def a_person_who_declines(stage: Stage) -> None:
    client = PullClient(stage.served.url, stage.other)
    with stage.browser(stage.person()) as visitor:
        client.answered(visitor, client.pushed(EXPORTER), answer="decline")


@provokes("pull.refused", "authorisation.revoked")
def a_code_that_is_used_twice(stage: Stage) -> None:
    client = PullClient(stage.served.url, stage.other)
    with stage.browser(stage.person()) as visitor:
        code = client.code(visitor, client.pushed(EXPORTER), EXPORTER)
    assert [client.exchange(code)["status"] for _ in range(2)] == [200, 400]


@provokes("pull.failed")
def a_consent_that_ends_before_the_copy_is_ready(stage: Stage) -> None:
    person, client = stage.person(), PullClient(stage.served.url, stage.other)
    with stage.browser(person) as visitor:
        client.tokens_of(visitor, EXPORTER)
    client.call("POST", "/v1/pulls")
    (consent,) = stage.call("GET", "/v1/authorisations", person)["authorisations"]
    stage.call("DELETE", f"/v1/authorisations/{consent['id']}", person, status=204)
    stage.world.advance_all()
    assert pulls.send_ready(stage.world.engine, stage.world.place.settings) == 0
