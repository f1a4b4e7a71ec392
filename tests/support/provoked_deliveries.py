"""Causes of events about people who log in, read and download, and about messages and transfers."""

from __future__ import annotations

from typing import Any

import httpx
from click.testing import CliRunner
from factories import World, world
from going_back import Backups, journal_of
from provoking import Stage, provokes
from sqlalchemy import select, update
from stating import publish, stated
from transferring import EXPORTER, encrypted
from workers import until

from cli.main import main
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.delivery import codes
from portability.people.directory import NoDirectory
from portability.safe_http import SafeHttpClient
from portability.storage.local import LocalStorage
from portability.transfers import sending
from worker import transfer
from worker.clock import message_delivery, notice_delivery, webhook_delivery
from worker.clock.envelopes import Desk
from worker.write.withdraw import withdraw_copies

OFFICER, COLLEAGUE = ("olga", "officer"), ("oscar", "officer")


class _Presigning(LocalStorage):
    """A storage that serves downloads itself."""

    def presigned(self, key: str, *, name: str, seconds: int) -> str:
        return f"https://storage.example/{key}?{name}={seconds}"


@provokes("access.read")
def staff_who_read(stage: Stage) -> None:
    stage.call("GET", f"/v1/exports/{stage.ask(stage.person())}", "sam", "staff")
    stage.call("GET", "/v1/exports", stage.person(), "staff")


@provokes("access.refused")
def a_stranger_who_reads(stage: Stage) -> None:
    stage.call("GET", f"/v1/exports/{stage.ask(stage.person())}", stage.person(), status=404)


@provokes("login.failed")
def a_login_that_the_provider_does_not_confirm(stage: Stage) -> None:
    stage.served.issuer.person = stage.served.issuer.claims(stage.person())
    with httpx.Client(base_url=stage.served.url) as client:
        address = httpx.URL(httpx.get(client.get("/login").headers["location"]).headers["location"])
        assert client.get(address.copy_set_param("code", "forged")).status_code == 403


@provokes("token.refused")
def a_token_that_is_not_valid(stage: Stage) -> None:
    headers = {"Authorization": "Bearer a.b.c"}
    assert httpx.get(f"{stage.served.url}/v1/exports", headers=headers).status_code == 401


@provokes("session.begun", "session.ended")
def a_session(stage: Stage) -> None:
    with stage.browser(stage.person()) as visitor:
        stage.post(visitor, "/logout", "/me", status=200)


@provokes("link.issued", "link.claimed", "link.downloaded", "link.revoked")
def a_download(stage: Stage) -> None:
    person = stage.person()
    link = stage.call("POST", f"/v1/exports/{stage.ready(person)}/links", person, status=201)
    page, before = httpx.URL(link["url"]).path, stage.head()
    with stage.browser(person) as visitor:
        claimed = stage.post(visitor, f"{page}/volumes/1", page).headers["location"]
        assert visitor.client.get(claimed).status_code == 200
    until(lambda: "link.downloaded" in {event["action"] for event in stage.recorded(before)}, "it is recorded")
    stage.call("DELETE", f"/v1/links/{link['id']}", person, status=204)


@provokes("link.url_issued")
def a_download_from_object_storage(stage: Stage) -> None:
    person = stage.person()
    identifier, place = stage.ready(person), stage.served.app.state.place
    storage = place.storage
    with stage.browser(person) as visitor:
        claimed = stage.post(visitor, f"/me/exports/{identifier}/volumes/1", "/me").headers["location"]
        object.__setattr__(place, "storage", _Presigning(stage.folder / "archives"))
        try:
            assert visitor.client.get(claimed).status_code == 302
        finally:
            object.__setattr__(place, "storage", storage)


@provokes("code.sent", "code.accepted", "code.refused")
def one_time_codes(stage: Stage) -> None:
    subject = f"contact:{stage.person()}"
    identifier = stage.served.ready(subject, tenant="ten_a")
    link = stage.served.link(identifier, audience="code")
    page = f"/d/{link.token}"
    with stage.browser() as visitor:
        stage.post(visitor, f"{page}/code", page)
        with reading(stage.world.engine) as connection:
            newest = select(models.code.c.id).where(models.code.c.link_id == link.id)
            code = codes.text(connection, stage.world.place.settings.keys, connection.scalar(newest) or "")
        assert code
        for tried in (f"{(int(code) + 1) % 10**8:08}", code):
            stage.post(visitor, f"{page}/code/check", page, code=tried)


@provokes("code.sent", "code.accepted", "code.refused", "session.begun")
def a_login_by_code(stage: Stage) -> None:
    page, table = "/login/address", models.code.c
    with stage.browser() as visitor:
        stage.post(visitor, f"{page}/send", page, address=f"{stage.person()}@news.example")
        with reading(stage.world.engine) as connection:
            newest = select(table.id).order_by(table.created_at.desc())
            code = codes.text(connection, stage.world.place.settings.keys, connection.scalar(newest) or "")
        assert code
        for tried in (f"{(int(code) + 1) % 10**8:08}", code):
            visitor.send(f"{page}/check", page=page, code=tried)


@provokes("notification.sent", "notification.page", "notification.failed")
def letters_to_people(stage: Stage) -> None:
    place = stage.world.place
    desk = Desk(place.engine, place.settings, NoDirectory())
    stage.world.request(f"email:{stage.person()}@news.example")
    stage.ask(stage.person())
    while message_delivery.deliver(desk):
        pass
    stage.world.request(f"email:{stage.person()}@refused.example")
    stage.box.on_recipient = lambda _address: "550 no"
    try:
        message_delivery.deliver(desk)
    finally:
        stage.box.on_recipient = lambda _address: "250 ok"


def _webhooks(stage: Stage) -> None:
    while webhook_delivery.announce(stage.world.engine, stage.world.place.settings, SafeHttpClient(loopback=True)):
        pass


def _started(stage: Stage, person: str | None = None) -> tuple[str, str]:
    """A transfer, and its person."""
    person = person or stage.person()
    given = {"subject": f"user:{person}", "recipient": stage.other.recipient, "datasets": [EXPORTER]}
    stage.call("POST", "/v1/authorisations", person, json=given, status=201)
    identifier = stage.ready(person, profile="portability")
    sent = {"recipient": stage.other.recipient}
    return stage.call("POST", f"/v1/exports/{identifier}/transfers", person, json=sent, status=201)["id"], person


def _receipt(stage: Stage, transfer_id: str, **more: Any) -> None:
    content = stage.other.receipt(stage.world, transfer_id, **more)
    address = f"{stage.served.url}/v1/transfers/{transfer_id}/receipt"
    headers = {"Content-Type": "application/jose"}
    assert httpx.post(address, content=content, headers=headers, timeout=30).status_code == 204


@provokes("recipient.rotated")
def a_new_key_of_a_recipient(stage: Stage) -> None:
    content = stage.other.new_key(stage.world.place.settings.iss)
    address = f"{stage.served.url}/v1/recipients/{stage.other.recipient}/rotation"
    headers = {"Content-Type": "application/jose"}
    assert httpx.post(address, content=content, headers=headers, timeout=30).status_code == 204


@provokes("recipient.added", "recipient.approved", "recipient.proven", "recipient.removed")
def a_recipient(stage: Stage) -> None:
    stage.call("DELETE", f"/v1/recipients/{stage.other.recipient}", *OFFICER, status=204)
    recorded = {
        "name": "New Care",
        "domain": "localhost",
        "country": "DE",
        "age_key": str(stage.other.identity.to_public()),
        "jwks_url": f"{stage.other.server.url}/jwks.json",
        "webhook_url": f"{stage.other.server.url}/hook",
        "redirect_uris": [stage.other.returns_to],
    }
    added = stage.call("POST", "/v1/recipients", *OFFICER, json=recorded, status=201)
    stage.call("POST", f"/v1/recipients/{added['id']}/approve", *COLLEAGUE)
    stage.other.recipient, stage.other.secret = added["id"], added["webhook_secret"]


@provokes("recipient.refused")
def a_provider_that_an_officer_refuses(stage: Stage) -> None:
    publish(stage.other, stated(stage.other))
    domain = {"domain": "localhost", "url": f"{stage.other.server.url}/.well-known/portability"}
    with stage.browser(*OFFICER) as visitor:
        seen = visitor.send("/staff/recipients/discover", **domain).text.partition('name="seen" value="')[2][:64]
        sent = {**domain, "seen": seen, "answer": "refuse", "confirmed": "yes"}
        assert visitor.send("/staff/recipients/discovered", **sent).status_code == 303


@provokes("authorisation.given", "authorisation.confirmed", "authorisation.revoked")
def an_authorisation(stage: Stage) -> None:
    person = stage.person()
    given = {"subject": f"user:{person}", "recipient": stage.other.recipient, "datasets": [EXPORTER], "evidence": "17"}
    identifier = stage.call("POST", "/v1/authorisations", *OFFICER, json=given, status=201)["id"]
    stage.call("POST", f"/v1/authorisations/{identifier}/confirm", person)
    stage.call("DELETE", f"/v1/authorisations/{identifier}", person, status=204)


@provokes("authorisation.countersigned")
def a_signed_consent(stage: Stage) -> None:
    given = {"subject": f"user:{stage.person()}", "recipient": stage.other.recipient, "datasets": [EXPORTER]}
    recorded = stage.call("POST", "/v1/authorisations", *OFFICER, json={**given, "evidence": "17"}, status=201)
    stage.call("POST", f"/v1/authorisations/{recorded['id']}/countersign", *COLLEAGUE, json={"document": "18"})


@provokes("transfer.started", "copy.stored", "transfer.offered", "webhook.sent")
@provokes("transfer.refused", "transfer.delivered")
def a_transfer(stage: Stage) -> None:
    transfer_id, _person = _started(stage)
    encrypted(stage.world)
    _webhooks(stage)
    _receipt(stage, transfer_id, status="refused", code="wrong_key", volumes=0)
    _receipt(stage, transfer_id)


@provokes("webhook.failed")
def a_recipient_that_is_gone(stage: Stage) -> None:
    _started(stage)
    encrypted(stage.world)
    stage.other.status = 410
    try:
        _webhooks(stage)
    finally:
        stage.other.status = 200


def _informed(stage: Stage, status: int) -> None:
    """A delivered transfer whose consent is withdrawn, and the recipient's answer to the notice."""
    transfer_id, person = _started(stage)
    encrypted(stage.world)
    _receipt(stage, transfer_id)
    consent = stage.call("GET", f"/v1/transfers/{transfer_id}", person)["authorisation"]
    stage.call("DELETE", f"/v1/authorisations/{consent}", person, status=204)
    stage.other.status = status
    try:
        while notice_delivery.inform(stage.world.engine, stage.world.place.settings, SafeHttpClient(loopback=True)):
            pass
    finally:
        stage.other.status = 200


@provokes("notice.queued", "notice.acknowledged")
def a_recipient_that_acknowledges(stage: Stage) -> None:
    _informed(stage, 200)


@provokes("notice.failed")
def a_recipient_that_wants_no_notice(stage: Stage) -> None:
    _informed(stage, 410)


@provokes("transfer.revoked", "copy.deleted")
def a_transfer_that_is_taken_back(stage: Stage) -> None:
    transfer_id, person = _started(stage)
    encrypted(stage.world)
    stage.call("DELETE", f"/v1/transfers/{transfer_id}", person, status=204)
    withdraw_copies(stage.world.engine, lambda: stage.world.place.storage)


@provokes("transfer.expired")
def a_transfer_that_is_not_fetched(stage: Stage) -> None:
    transfer_id, _person = _started(stage)
    encrypted(stage.world)
    table = models.transfer
    with writing(stage.world.engine) as connection:
        connection.execute(update(table).where(table.c.id == transfer_id).values(expires_at=now(-1)))
        sending.expire(connection, transfer_id, actor="clock")


@provokes("copy.failed", "transfer.failed")
def a_storage_that_is_away(stage: Stage) -> None:
    _started(stage)
    place, away = stage.world.place, stage.without_storage()
    while held := transfer.claim(place.engine, "test", 60):
        transfer.advance(away, held)


@provokes("approval.asked", "transfer.approved", "transfer.denied")
def transfers_abroad(stage: Stage) -> None:
    with writing(stage.world.engine) as connection:
        recipient = update(models.recipient).where(models.recipient.c.id == stage.other.recipient)
        connection.execute(recipient.values(country="SG", mechanism="none"))
    try:
        held = {_started(stage)[0]: what for what in ("approve", "deny")}
    finally:
        with writing(stage.world.engine) as connection:
            connection.execute(recipient.values(country="DE"))
    for transfer_id, what in held.items():
        with reading(stage.world.engine) as connection:
            identifier = sending.get(connection, transfer_id)["export_id"]
        more: dict[str, Any] = {"json": {"reason": "No."}} if what == "deny" else {}
        stage.call("POST", f"/v1/exports/{identifier}/{what}", *OFFICER, **more)


@provokes("database.reconciled")
def a_restore_from_a_backup(stage: Stage) -> World:
    made = world(stage.folder / "restored", {}).with_all_keys()
    backups = Backups(made, None)
    journal_of(made).ship()
    before = backups.take()
    made.request()
    journal_of(made).ship()
    backups.restore(before)
    result = CliRunner(env={"PORTABILITY_DIR": str(made.folder)}).invoke(main, ["reconcile"])
    assert result.exit_code == 0, result.output
    return made
