"""Causes of events about requests: asked, approved, made, failed, kept, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import platform_data as platform
from provoking import Stage, provokes
from sqlalchemy import update

from portability.api import Contact, Identity, Subject
from portability.coverage import state as coverage
from portability.database import deployment, models
from portability.database.engine import now, open_engine, reading, writing
from portability.desk import notes, views
from portability.feeds import feeds
from portability.feeds.feeds import FeedTerms
from portability.requests import acceptance, exports, referrals, reviews
from portability.requests.policy import Actor
from portability.requests.states import ExportState
from portability.trust import audit_heads
from worker.clock import erasure, expiry, lost_volumes, purge, schedules
from worker.export import advance
from worker.write.withdraw import withdraw_discarded

DAY = 86_400
OFFICER, COLLEAGUE = ("olga", "officer"), ("oscar", "officer")


class _ClosedAccount:
    """A directory that knows closed accounts only."""

    def contact(self, _subject: Subject) -> Contact:
        return Contact("ann@mail.example", None, verified=True, changed_at=None, can_log_in=False)


def _export(stage: Stage, identifier: str, **values: Any) -> None:
    with writing(stage.world.engine) as connection:
        connection.execute(update(models.export).where(models.export.c.id == identifier).values(**values))


def _row(stage: Stage, identifier: str) -> Mapping[Any, Any]:
    with reading(stage.world.engine) as connection:
        return exports.get(connection, identifier)


@provokes("request.accepted", "request.repeated")
def the_same_request_twice(stage: Stage) -> None:
    person = stage.person()
    assert stage.ask(person) == stage.ask(person, status=200)


@provokes("desk.searched", "subject.looked_up", "export.assigned")
def staff_who_search_and_take_a_request(stage: Stage) -> None:
    identifier = stage.ask(stage.person())
    with stage.browser("sam", "staff") as visitor:
        visitor.send("/staff/search", q=identifier[:8])
        visitor.send("/staff/look-up", address="ann@mail.example")
        visitor.send(f"/staff/exports/{identifier}/assignment/me")


@provokes("note.written", "note.deleted")
def a_note_about_another_person(stage: Stage) -> None:
    identifier = stage.ask(stage.person())
    address = f"/staff/exports/{identifier}/notes"
    with stage.browser("sam", "staff") as visitor:
        visitor.send(address, text="She was angry.", about="person")
    with reading(stage.world.engine) as connection:
        (note,), _following = notes.page(connection, exports.get(connection, identifier))
    with stage.browser(*OFFICER) as visitor:
        visitor.send(f"{address}/{note['id']}/delete", reason="other_person")


@provokes("view.saved", "view.deleted")
def a_list_of_the_team(stage: Stage) -> None:
    with stage.browser(*OFFICER) as visitor:
        visitor.send("/staff/views", name="Late", state="overdue", team="yes")
        with reading(stage.world.engine) as connection:
            (view,) = views.of(connection, "", with_team=True)
        visitor.send(f"/staff/views/{view['id']}/delete")


@provokes("feed.begun", "feed.ended")
def a_feed(stage: Stage) -> None:
    wanted = acceptance.check(profile="access", subject=f"user:{stage.person()}")
    with writing(stage.world.engine) as connection:
        settings = stage.world.place.settings
        feed_id = feeds.begin(connection, settings, wanted, FeedTerms(), actor=Actor("operator", "test"))
        feeds.end(connection, feed_id, actor="operator:test", reason="undelivered")


@provokes("schedule.begun", "schedule.ended")
def scheduled_copies(stage: Stage) -> None:
    with stage.browser(stage.person()) as visitor:
        stage.post(visitor, "/me/exports", "/me", profile="access", every="two_months", include="calls")
        stage.post(visitor, "/me/schedule/stop", "/me")


@provokes("schedule.begun", "schedule.ended")
def scheduled_copies_of_a_closed_account(stage: Stage) -> None:
    person = stage.person()
    with stage.browser(person) as visitor:
        stage.post(visitor, "/me/exports", "/me", profile="access", every="two_months", include="calls")
    due = update(models.schedule).where(models.schedule.c.subject_id == person)
    with writing(stage.world.engine) as connection:
        connection.execute(due.values(next_at=now(-1)))
    schedules.request_due(stage.world.engine, stage.world.place.settings, _ClosedAccount())


@provokes("approval.asked", "export.approved")
def an_approval(stage: Stage) -> None:
    identifier = stage.ask(stage.person(), "chats")
    stage.call("POST", f"/v1/exports/{identifier}/approve", *OFFICER)


@provokes("export.denied")
def a_refusal(stage: Stage) -> None:
    identifier = stage.ask(stage.person(), "chats")
    stage.call("POST", f"/v1/exports/{identifier}/deny", *OFFICER, json={"reason": "No.", "basis": "identity"})


@provokes("approval.break_glass", "export.approved")
def an_approval_by_one_person(stage: Stage) -> None:
    identifier = stage.ask(stage.person(), "chats")
    stage.command("approve", identifier, "--break-glass", "The colleague is ill.")


@provokes("export.ready")
def an_export(stage: Stage) -> None:
    stage.ready(stage.person())


@provokes("export.cancelled")
def a_cancellation_before_a_worker_began(stage: Stage) -> None:
    person = stage.person()
    stage.call("POST", f"/v1/exports/{stage.ask(person)}/cancel", person)


@provokes("export.cancel_requested", "export.cancelled")
def a_cancellation_while_a_worker_runs(stage: Stage) -> None:
    stage.world.advance_all()
    person = stage.person()
    identifier = stage.ask(person)
    assert stage.world.claim(lease_seconds=-1)
    stage.call("POST", f"/v1/exports/{identifier}/cancel", person)
    stage.world.advance_all()


@provokes("export.failed", "export.retried")
def a_lost_object(stage: Stage) -> None:
    identifier = stage.ready(stage.person())
    engine = stage.world.engine
    lost_volumes.fail(engine, identifier, [1], deployment.clock(engine), actor="clock")
    stage.call("POST", f"/v1/exports/{identifier}/retry", "sam", "staff")


@provokes("export.gaps_retried")
def a_retry_of_gaps(stage: Stage) -> None:
    identifier = stage.ready(stage.person(), include=["crm"])
    stage.call("POST", f"/v1/exports/{identifier}/retry", "sam", "staff", json={"gaps": True})


@provokes("export.gaps_retried", "export.reverted")
def a_revision_that_is_cancelled(stage: Stage) -> None:
    person = stage.person()
    identifier = stage.ready(person, include=["crm"])
    stage.call("POST", f"/v1/exports/{identifier}/retry", "sam", "staff", json={"gaps": True})
    stage.call("POST", f"/v1/exports/{identifier}/cancel", person)


@provokes("volume.failed")
def a_worker_with_a_fault(stage: Stage) -> None:
    stage.world.advance_all()
    stage.ask(stage.person())
    held = stage.world.claim()
    assert held
    advance(stage.without_storage(), held)
    stage.world.advance_all()


@provokes("approval.asked", "fetch.denied", "export.fetched", "fetch.completed")
def copies_of_an_operator(stage: Stage) -> None:
    refused, approved = stage.ready(stage.person()), stage.ready(stage.person())
    fetch = ("--to", str(stage.folder / "copies"))
    for identifier in (refused, approved):
        stage.command("fetch", identifier, *fetch, code=2)
    stage.call("POST", f"/v1/exports/{refused}/deny", *OFFICER, json={"reason": "No."})
    stage.call("POST", f"/v1/exports/{approved}/approve", *OFFICER)
    stage.command("fetch", approved, *fetch)


@provokes("export.expired", "volume.deleted", "deletion.attested")
def the_end_of_the_storage_period(stage: Stage) -> None:
    engine, settings = stage.world.engine, stage.world.place.settings
    identifier = stage.ready(stage.person())
    _export(stage, identifier, ended_at=now(-400 * DAY))
    expiry.announce(engine, settings)
    with writing(engine) as connection:
        connection.execute(update(models.notification).values(created_at=now(-3 * DAY)))
    expiry.expire(engine, settings)
    withdraw_discarded(engine, lambda: stage.world.place.storage, {ExportState.EXPIRED})
    erasure.attest(engine, settings.keys, settings.iss)


@provokes("export.erasure_permitted", "erasure.begun", "export.erased", "erasure.ended")
def an_erasure(stage: Stage) -> None:
    engine, settings = stage.world.engine, stage.world.place.settings
    person = stage.person()
    stage.ready(person)
    stage.command("erase", "--subject", f"user:{person}", "--reason", "ticket 17", "--ground", "subject")
    erasure.advance(engine, lambda: stage.world.place.storage)
    erasure.attest(engine, settings.keys, settings.iss)


@provokes("request.purged")
def the_end_of_a_record(stage: Stage) -> None:
    person = stage.person()
    identifier = stage.ask(person)
    stage.call("POST", f"/v1/exports/{identifier}/cancel", person)
    _export(stage, identifier, ended_at=now(-900 * DAY))
    purge.purge(stage.world.engine, 24)


@provokes("deadline.extended", "deadline.paused", "deadline.resumed")
def more_time(stage: Stage) -> None:
    identifier = stage.ask(stage.person())
    stage.command("extend", identifier, "--reason", "There are many recordings.")
    stage.command("pause", identifier, "--reason", "identity")
    stage.command("resume", identifier)


@provokes("export.recalled", "recall.closed")
def a_recall(stage: Stage) -> None:
    identifier = stage.ready(stage.person())
    stage.call("POST", f"/v1/exports/{identifier}/recall", *OFFICER, json={"reason": "It was sent to Tom."})
    found = orjson.loads(stage.command("recalls", "list", "--open", "--json").stdout)
    (recall,) = (row["id"] for row in found if identifier in row.values())
    stage.command("recalls", "close", recall, "--outcome", "informed")


@provokes("review.decided")
def a_review(stage: Stage) -> None:
    identifier = stage.ready(stage.person())
    with writing(stage.world.engine) as connection:
        found = Identity("calls", "call_id", stage.person(), tenant="ten_a")
        reviews.note(connection, exports.get(connection, identifier), [(found, "calls/calls")])
        (review,) = reviews.of(connection, exports.get(connection, identifier))
    page = f"/staff/exports/{identifier}"
    with stage.browser(*OFFICER) as visitor:
        decision: dict[str, Any] = {"decision": "not_theirs", "reason": "content"}
        stage.post(visitor, f"{page}/reviews/{review['id']}", page, **decision)


@provokes("referral.made", "referral.instructed", "referral.refused")
def referrals_to_two_tenants(stage: Stage) -> None:
    identifier = stage.ready(stage.person(), tell_tenants=True)
    tenants = {stage.person(): "instruct", stage.person(): "refuse"}
    with writing(stage.world.engine) as connection:
        row = exports.get(connection, identifier)
        referrals.note(connection, stage.world.place.settings, row, {tenant: ["con_17"] for tenant in tenants})
    for tenant, what in tenants.items():
        stage.world.advance_all()
        with reading(stage.world.engine) as connection:
            (found,) = referrals.rows(connection, tenant=tenant)
        with stage.browser("adm", "tenant_admin", tenant=tenant) as visitor:
            stage.post(visitor, f"/staff/referrals/{found['id']}/{what}", "/staff/referrals", reason="law")


@provokes("hold.added", "hold.released")
def a_legal_hold(stage: Stage) -> None:
    reason = ("--reason", "case 4")
    added = stage.command("holds", "add", "--subject", f"user:{stage.person()}", *reason, "--json")
    stage.command("holds", "release", orjson.loads(added.stdout)["id"])


@provokes("identities.read")
def a_list_of_identities(stage: Stage) -> None:
    url = f"sqlite:///{stage.folder / 'platform.sqlite'}"
    engine = open_engine(url)
    platform.fill(engine)
    engine.dispose()
    environment = {**stage.environment, "PORTABILITY_SOURCE_URL": url}
    replace(stage, environment=environment).command("identities", f"user:{stage.person()}", "--json")


@provokes("instruction.added", "instruction.withdrawn")
def an_instruction(stage: Stage) -> None:
    added = stage.command("instructions", "add", "--tenant", "ten_told", "--json")
    stage.command("instructions", "withdraw", orjson.loads(added.stdout)["id"])


@provokes("mandate.added", "mandate.ended")
def a_mandate(stage: Stage) -> None:
    whom = ("--agent", "subject:usr_sam", "--subject", f"user:{stage.person()}", "--profile", "access")
    until = ("--issuer", "a court, 7 C 1", "--expires-at", "2030-01-01T00:00:00Z")
    added = stage.command("mandates", "add", *whom, *until, "--json")
    stage.command("mandates", "end", orjson.loads(added.stdout)["id"])


@provokes("source.test")
def a_test_of_a_source(stage: Stage) -> None:
    with writing(stage.world.engine) as connection:
        coverage.keep_only(connection, ["crm"])
        coverage.ask(connection, "crm", actor=str(Actor("officer", "olga", issuer="https://login.example")))


@provokes("key.created", "key.retired", "key.revoked")
def keys_of_the_log(stage: Stage) -> None:
    new = ("keys", "new", "--purpose", "audit", "--json")
    before = orjson.loads(stage.command(*new).stdout)["kid"]
    stage.command("keys", "retire", before)
    stage.command(*new)
    stage.command("keys", "revoke", before)
    with reading(stage.world.engine) as connection:
        assert audit_heads.signed(connection, stage.world.place.settings.keys, stage.world.place.settings.iss)
