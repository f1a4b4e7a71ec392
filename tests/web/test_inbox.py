"""The receiving service: two deployments over HTTP, from the webhook to the import, the receipt and the message."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import httpx
import jwt
import orjson
import pyrage
import pytest
from click.testing import CliRunner
from inboxes import HERE, OFFICER, Inbox, inboxes, profile
from markupsafe import escape
from sqlalchemy import select, update
from structlog.testing import capture_logs
from wrong_clocks import set_wrong

from cli.checks import Seen
from cli.context import Context
from cli.inbox_check import inbox
from cli.main import main
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.errors import TooManyAttempts
from portability.inbox import offers, received
from portability.transfers import sending
from portability.trust import keys
from portability.trust.signing import TRANSFER_TYPE, sign
from receiver.faults import FeedForked, SenderUnavailable
from receiver.fetch import receipt, statement
from receiver.fetch.sender import Sender, TransferLinks
from receiver.importer.database import opened
from receiver.inbox import service
from receiver.inbox.quarantine import folder_of
from receiver.ledger import runs


@pytest.fixture(scope="module")
def both(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inbox]:
    """A sender and a receiver."""
    with inboxes(tmp_path_factory.mktemp("inbox"), redis_server) as made:
        yield made


def post(both: Inbox, **webhook: object) -> httpx.Response:
    return httpx.post(f"{both.receiver.url}/v1/inbox", timeout=30, **webhook)  # type: ignore[arg-type]  # headers and content


def offer(both: Inbox, **data: object) -> dict[str, Any]:
    """What a webhook says about an offer."""
    settings = both.sender.world.place.settings
    known = {"transfer": "trf_made_up", "issuer": settings.iss, "url": f"{both.sender.url}/d/unknown"}
    return {**known, "expires_at": "2099-01-01T00:00:00Z", **data}


def kinds_of_messages(both: Inbox, identifier: str) -> list[str]:
    """The kinds of messages to the person about a received transfer."""
    table = models.notification
    with reading(both.receiver.world.engine) as connection:
        query = select(table.c.kind).where(table.c.occasion == identifier).order_by(table.c.created_at)
        return list(connection.scalars(query))


@pytest.mark.requirement("R39", "R46")
def test_what_an_officer_accepts_is_imported_and_receipted(both: Inbox) -> None:
    """The sender's transfer is delivered, the values that were free here are imported, and the person hears of it."""
    sent_id, identifier = both.imported()

    shown = both.shown(identifier)
    assert (shown["state"], shown["receipt"]) == ("imported", "sent")
    assert both.sent(sent_id)["state"] == "delivered"
    assert kinds_of_messages(both, identifier) == ["received_for_you"]
    assert not (both.service.quarantine / identifier).exists()


@pytest.mark.parametrize("days", [-40, -1, 1, 40])
def test_a_wrong_clock_of_its_machine_refuses_nothing(both: Inbox, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """The database's clock says whether an offer is valid, and of what time the receipt is."""
    with monkeypatch.context() as patched:
        set_wrong(patched, statement, receipt, days=days)
        sent_id, identifier = both.offered()
        both.work()
        assert both.shown(identifier)["state"] == "fetched"
        both.call("refuse", identifier, reason="not_wanted")
        both.work()
    assert both.shown(identifier)["receipt"] == "sent"
    assert both.sent(sent_id)["state"] == "refused"


@pytest.mark.requirement("R46")
def test_each_side_states_what_the_other_one_records(both: Inbox) -> None:
    """The receiver publishes key, key set and webhook, signed; who receives nothing publishes nothing."""
    answer = httpx.get(f"{both.receiver.url}/.well-known/portability")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jose")
    key = jwt.PyJWKClient(f"{both.receiver.url}/.well-known/jwks.json").get_signing_key_from_jwt(answer.text)
    claims = jwt.decode(answer.text, key, ["ES256"])
    assert jwt.get_unverified_header(answer.text)["typ"] == "portability-provider+jwt"
    assert claims["exp"] - claims["iat"] == 7 * 86_400
    assert claims["webhook_url"] == f"{both.receiver.url}/v1/inbox"
    assert claims["jwks_url"] == f"{both.receiver.url}/.well-known/jwks.json"
    assert (claims["formats"], claims["age_key"][:4]) == (["portability/1"], "age1")
    refused = httpx.get(f"{both.sender.url}/.well-known/portability")
    assert (refused.status_code, refused.json()["code"]) == (404, "no_inbox")


def test_a_value_of_the_archive_replaces_one_here_only_by_choice(both: Inbox) -> None:
    """`keep` leaves the account as it is, `take` changes what an archive may set, and undoing restores it."""
    _, kept = both.imported()
    assert both.account()["full_name"] == "Ann Here"
    sent_id, identifier = both.imported(on_conflict="take")
    taken = both.account()
    assert (taken["full_name"], taken["email"], taken["mfa_enabled"]) == ("Ann There", "ann@here.example", True)

    both.call("undo", identifier)
    both.work()

    assert both.account()["full_name"] == "Ann Here"
    assert both.shown(identifier)["state"] == "undone"
    assert kinds_of_messages(both, identifier) == ["received_for_you", "received_undone"]
    assert both.sent(sent_id)["state"] == "delivered"
    both.call("undo", kept)
    both.work()


def test_undoing_lists_the_rows_that_stay(both: Inbox) -> None:
    """Who has an import undone sees which rows keep what it brought, because they were changed here since then."""
    _, identifier = both.imported(on_conflict="take")
    assert not both.shown(identifier)["undone"]
    both.set_name("Ann Later")

    both.call("undo", identifier)
    both.work()

    undone = both.shown(identifier)["undone"]
    assert (undone["conflicts"], undone["kept"][0]["id"]) == (1, HERE)
    with both.receiver.browser(*OFFICER) as visitor:
        page = visitor.client.get(f"/staff/inbox/{identifier}").text
    assert f"<code>users</code> <code>{HERE}</code> full_name" in page
    shown = CliRunner(env=both.environment).invoke(main, ["inbox", "show", identifier]).output
    assert "Changed after the import" in shown
    both.set_name("Ann Here")


def test_the_difference_is_shown_by_record_and_field_before_anything_changes(both: Inbox) -> None:
    """Counts by dataset, the values on both sides, and what becomes of each."""
    _, identifier = both.compared()

    answer = both.receiver.call("GET", f"/v1/inbox/{identifier}/differences", *OFFICER).json()
    (record,) = answer["differences"]
    assert (record["dataset"], record["what"], record["id"]) == ("account/profile", "differs", HERE)
    name = record["fields"]["full_name"]
    assert (name["ours"], name["theirs"], name["conflict"], name["taken"]) == ("Ann Here", "Ann There", True, False)
    (line,) = [line for line in both.shown(identifier)["report"]["datasets"] if line["dataset"] == "profile"]
    assert (line["conflicts"], line["kept"], line["new"]) == (1, 1, 0)
    assert both.account()["full_name"] == "Ann Here"
    both.call("refuse", identifier, reason="other")


def test_the_database_has_no_value_of_the_difference(both: Inbox) -> None:
    """Records, the link and the secret are encrypted, and a decision deletes the difference."""
    _, identifier = both.compared()
    table = models.received_difference

    with reading(both.receiver.world.engine) as connection:
        stored = connection.execute(select(table).where(table.c.received_id == identifier)).all()
        secrets = connection.scalars(select(models.sender.c.sealed)).all()
    assert stored
    assert "Ann" not in str(stored)
    assert both.secret not in str(secrets)
    both.call("refuse", identifier, reason="other")
    with reading(both.receiver.world.engine) as connection:
        assert connection.execute(select(table).where(table.c.received_id == identifier)).all() == []


def test_a_refusal_reaches_the_sender_with_its_reason(both: Inbox) -> None:
    """The files are deleted, a second click changes nothing, and it cannot be imported any more."""
    sent_id, identifier = both.compared()

    assert both.call("refuse", identifier, reason="unknown_subject")["state"] == "declined"
    assert both.call("refuse", identifier, reason="unknown_subject")["state"] == "declined"
    both.work()

    sent = both.sent(sent_id)
    assert (sent["state"], sent["error_code"]) == ("refused", "unknown_subject")
    assert not (both.service.quarantine / identifier).exists()
    both.call("import", identifier, status=409, comparison="0" * 32)


def test_an_import_is_of_the_difference_that_was_seen(both: Inbox) -> None:
    """Another officer chooses another target meanwhile: the old page imports nothing. A second click imports once."""
    _, identifier = both.compared()
    seen = both.shown(identifier)["comparison"]
    both.call("target", identifier, subject="user:usr_second")
    both.work()

    both.call("import", identifier, status=409, comparison=seen)
    fresh = both.shown(identifier)["comparison"]
    assert both.call("import", identifier, comparison=fresh)["state"] == "importing"
    assert both.call("import", identifier, comparison=fresh)["state"] == "importing"
    both.work()
    assert both.call("import", identifier, comparison=fresh)["state"] == "imported"
    assert both.account("usr_second")["full_name"] == "Ann There"
    both.call("undo", identifier)
    both.work()


def test_a_target_of_another_kind_is_refused(both: Inbox) -> None:
    """An archive about an account is not imported as a company, and a target that does not fit leads back."""
    _, identifier = both.offered()
    both.work()

    both.call("target", identifier, status=400, subject="tenant:ten_1")
    assert both.shown(identifier)["state"] == "fetched"
    both.call("refuse", identifier, reason="other")


@pytest.mark.parametrize(
    "more",
    [lambda: {"secret": "whsec_" + "A" * 43 + "="}, lambda: {"at": datetime.now(UTC) - timedelta(minutes=6)}],
    ids=["another secret", "six minutes old"],
)
def test_a_forged_webhook_is_refused(both: Inbox, more: Callable[[], dict[str, Any]]) -> None:
    """By its signature, or its time; nothing is stored."""
    before = len(both.listed())

    answer = post(both, **both.webhook(offer(both), **more()))

    assert (answer.status_code, answer.json()["code"]) == (401, "forged_webhook")
    assert len(both.listed()) == before


@pytest.mark.parametrize("signature", ["v1", "v1,abc", "v1,a,b", "whsec", "v1,\xe9"])
def test_a_malformed_signature_is_a_forged_webhook(both: Inbox, signature: str) -> None:
    """Anyone can send one in the name of a recorded sender: it is refused as any other wrong signature."""
    sent = both.webhook(offer(both))
    sent["headers"]["webhook-signature"] = signature.encode("latin-1")

    answer = post(both, **sent)

    assert (answer.status_code, answer.json()["code"]) == (401, "forged_webhook")


@pytest.mark.parametrize(
    "wrong",
    [
        {"expires_at": "0001-01-01T00:00:00+14:00"},
        {"expires_at": "9999-12-31T23:59:59-01:00"},
        {"expires_at": "tomorrow"},
        {"url": "http://[::1"},
    ],
    ids=["before the first year", "after the last year", "no time", "no address"],
)
def test_an_offer_with_an_impossible_time_or_address_is_refused(both: Inbox, wrong: dict[str, str]) -> None:
    """The sender hears what is wrong, and nothing is stored."""
    before = len(both.listed())

    answer = post(both, **both.webhook(offer(both, transfer="trf_impossible", **wrong), id="msg_impossible"))

    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_offer")
    assert len(both.listed()) == before


def test_a_webhook_of_an_unknown_sender_is_refused(both: Inbox) -> None:
    """With the same answer as a forged webhook: it does not say which senders are known."""
    unknown = post(both, **both.webhook({**offer(both), "issuer": "https://unknown.example"}))
    forged = post(both, **both.webhook(offer(both), secret="whsec_" + "A" * 43 + "="))

    assert unknown.status_code == 401
    assert {**unknown.json(), "request_id": ""} == {**forged.json(), "request_id": ""}


def test_a_webhook_is_bounded(both: Inbox) -> None:
    """More than 16 KiB, another type, or a link to another host: refused before anything is stored."""
    large = both.webhook({**offer(both), "more": "x" * 20_000})
    typed = both.webhook(offer(both))
    typed["headers"]["Content-Type"] = "text/plain"
    elsewhere = both.webhook({**offer(both), "url": "https://169.254.169.254/d/x"})

    assert post(both, **large).status_code == 413
    assert post(both, **typed).status_code == 415
    assert (post(both, **elsewhere).status_code, post(both, **elsewhere).json()["code"]) == (422, "wrong_offer")


def test_a_repeated_webhook_is_stored_once(both: Inbox) -> None:
    """The same id, and the same transfer with another id: both are accepted, and there is one received transfer."""
    data = offer(both, transfer="trf_repeated")
    first, again = both.webhook(data, id="msg_repeated"), both.webhook(data, id="msg_repeated_2")

    assert [post(both, **sent).status_code for sent in (first, first, again)] == [202, 202, 202]
    (row,) = [row for row in both.listed() if row["transfer"] == "trf_repeated"]
    both.work()
    assert both.shown(row["id"])["state"] == "expired"


def test_more_offers_than_an_officer_can_look_at_have_to_wait(both: Inbox) -> None:
    """The limit counts those that are fetched or undecided; the sender tries again later."""
    few = both.service.settings.model_copy(update={"inbox_transfers_max": 0})
    with reading(both.receiver.world.engine) as connection:
        sent = both.webhook(offer(both, transfer="trf_waits"))
        webhook = offers.verified(connection, few.keys, sent["headers"], sent["content"].encode())

    with pytest.raises(TooManyAttempts), writing(both.receiver.world.engine) as connection:
        offers.store(connection, few, webhook)


def test_data_that_is_encrypted_to_another_key_is_refused(both: Inbox) -> None:
    """The sender hears the code; nothing stays."""
    sent_id, identifier = both.offered()

    both.work(identities=[pyrage.x25519.Identity.generate()])

    assert (both.shown(identifier)["state"], both.shown(identifier)["error_code"]) == ("refused", "wrong_key")
    assert (both.sent(sent_id)["state"], both.sent(sent_id)["error_code"]) == ("refused", "wrong_key")
    assert not (both.service.quarantine / identifier).exists()


def test_the_receipt_of_a_refusal_is_repeated_until_the_sender_has_it(
    both: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try has the code of the refusal, and not that of the try before."""
    sent_id, identifier = both.offered()
    post_receipt, tries = Sender.post_receipt, []

    def cut_twice(sender: Sender, links: TransferLinks, text: str) -> None:
        if links.id == sent_id:
            tries.append(text)
            if len(tries) <= 2:
                raise SenderUnavailable("the connection was cut")
        post_receipt(sender, links, text)

    monkeypatch.setattr(Sender, "post_receipt", cut_twice)
    both.work(identities=[pyrage.x25519.Identity.generate()])

    assert len(tries) == 3
    assert (both.sent(sent_id)["state"], both.sent(sent_id)["error_code"]) == ("refused", "wrong_key")
    assert (both.shown(identifier)["receipt"], both.shown(identifier)["error_code"]) == ("sent", "wrong_key")
    with both.receiver.browser(*OFFICER) as visitor:
        assert "Not verified yet" in visitor.client.get(f"/staff/inbox/{identifier}").text


def test_a_full_disk_here_refuses_nothing(both: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender hears nothing, page and list name the code, and with free space the next try fetches it."""
    both.work()  # the transfers of other tests
    sent_id, identifier = both.offered()
    with monkeypatch.context() as full:
        full.setattr("receiver.receive.SPARE_BYTES", 1 << 60)
        assert service.advance(both.service)
    assert (both.shown(identifier)["state"], both.shown(identifier)["error_code"]) == ("offered", "no_room")
    assert both.sent(sent_id)["state"] == "offered"
    with capture_logs():
        listed = CliRunner(env={**both.environment, "COLUMNS": "200"}).invoke(main, ["inbox", "list"])
    assert re.search(rf"{identifier} .*no_room", listed.output)

    both.work()

    assert (both.shown(identifier)["state"], both.shown(identifier)["error_code"]) == ("fetched", None)
    both.call("refuse", identifier, reason="other")
    both.work()


def test_a_step_that_lacks_memory_is_repeated_later(both: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after any other fault: its page has a code, it waits longer each time, and others have their turns."""
    both.work()  # the transfers of other tests
    _sent, identifier = both.offered()
    with monkeypatch.context() as small:
        small.setattr("receiver.inbox.steps.receive", lambda *_arguments, **_named: bytearray(1 << 62))
        assert service.advance(both.service)
    row = both.row(identifier)
    assert (row["state"], row["error_code"], row["lease_until"]) == ("offered", "internal_error", None)

    both.work()

    assert both.shown(identifier)["state"] == "fetched"
    both.call("refuse", identifier, reason="other")
    both.work()


def test_the_doctor_names_what_is_repeated(both: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that stays full lets each try fail at once: nothing waits for the service, and the offer would end."""
    both.work()  # the transfers of other tests
    context = Context(lambda: both.receiver.world.place.settings, json=False)
    before = inbox(context)
    _sent, identifier = both.offered()
    with monkeypatch.context() as full:
        full.setattr("receiver.receive.SPARE_BYTES", 1 << 60)
        for _ in range(3):
            assert service.advance(both.service)
    repeated = inbox(context)
    both.work()
    after = inbox(context)
    both.call("refuse", identifier, reason="other")
    both.work()
    assert (before, after) == (Seen(), Seen())
    assert repeated == Seen("repeated without success: 1 x no_room", "`portability inbox list`; docs/errors.md")


def test_a_disk_that_does_not_read_refuses_nothing(both: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault is of this side: the sender hears of no refusal, nothing is deleted, and the next try checks again."""
    both.work()  # the transfers of other tests
    sent_id, identifier = both.offered()
    with monkeypatch.context() as failing:
        failing.setattr("archive.verify.volumes._check", Mock(side_effect=OSError(errno.EIO, "Input/output error")))
        assert service.advance(both.service)
    assert (both.shown(identifier)["state"], both.shown(identifier)["error_code"]) == ("offered", "archive_unread")
    assert both.sent(sent_id)["state"] == "offered"

    both.work()

    assert both.shown(identifier)["state"] == "fetched"
    both.call("refuse", identifier, reason="other")
    both.work()


def test_the_page_of_a_forked_feed_names_the_imports_to_undo(both: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order: one that came through the inbox is a link, one of the command line is its command."""
    _sent, before = both.imported()
    run = str(both.row(before)["import_id"])
    forked = FeedForked("another archive 2 of feed f is imported here", undo=["0123456789abcdef", run])
    with monkeypatch.context() as sender_went_back:
        sender_went_back.setattr("receiver.inbox.steps.import_archive", Mock(side_effect=forked))
        _sent, identifier = both.compared()
    with both.receiver.browser(*OFFICER) as visitor:
        page = visitor.client.get(f"/staff/inbox/{identifier}").text
        german = visitor.client.get(f"/staff/inbox/{identifier}", headers={"Accept-Language": "de"}).text
    command, link = "<code>portability imports undo 0123456789abcdef</code>", f'<a href="/staff/inbox/{before}">'
    assert "Undo these imports first" in page
    assert -1 < page.find(command) < page.find(link)
    assert "Machen Sie zuerst diese Importe rückgängig" in german
    assert not both.shown(identifier)["report"]
    both.call("target", identifier, subject=f"user:{HERE}")
    both.work()
    with both.receiver.browser(*OFFICER) as visitor:
        assert command not in visitor.client.get(f"/staff/inbox/{identifier}").text
    both.call("refuse", identifier, reason="other")
    both.work()


def test_a_run_that_has_not_ended_refuses_nothing(both: Inbox) -> None:
    """A process that was paused for longer than its lease still has the folder when another takes the transfer."""
    both.work()  # the transfers of other tests
    _, identifier = both.offered()
    handle = os.open(folder_of(both.service.quarantine, identifier), os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert service.advance(both.service)
    os.close(handle)
    assert both.shown(identifier)["state"] == "offered"

    both.work()

    assert both.shown(identifier)["state"] == "fetched"
    both.call("refuse", identifier, reason="other")
    both.work()


def test_more_than_the_limit_is_not_fetched(both: Inbox) -> None:
    """The size in the signed list is compared before the first byte."""
    sent_id, identifier = both.offered()
    small = both.service.settings.model_copy(update={"inbox_bytes": 1000})

    both.work(settings=small)

    assert both.shown(identifier)["error_code"] == "archive_too_large"
    assert both.sent(sent_id)["error_code"] == "archive_too_large"


def test_a_link_to_another_transfer_than_announced_is_refused(both: Inbox) -> None:
    """The webhook's transfer must be that of the statement."""
    sent_id, identifier = both.offered()
    link = offers.link_of(both.service.settings.keys, both.row(identifier))
    assert post(both, **both.webhook(offer(both, transfer="trf_else", url=link), id="msg_else")).status_code == 202

    both.work()

    (other,) = [row for row in both.listed() if row["transfer"] == "trf_else"]
    assert (other["state"], other["error_code"]) == ("refused", "bad_statement")
    assert both.sent(sent_id)["state"] == "offered"
    both.call("refuse", identifier, reason="other")


def test_an_archive_about_another_subject_than_stated_is_refused(both: Inbox) -> None:
    """The statement is validly signed; the archive inside names another pseudonym."""
    sent_id, identifier = both.offered()
    world = both.sender.world
    with writing(world.engine) as connection:
        claims = jwt.decode(sending.get(connection, sent_id)["statement"], options={"verify_signature": False})
        key = keys.signing(connection, world.place.settings.keys, purpose="transfer")
        token = sign({**claims, "sub": "sub_" + "a" * 26}, key, typ=TRANSFER_TYPE)
        change = update(models.transfer).where(models.transfer.c.id == sent_id)
        connection.execute(change.values(statement=token))

    both.work()

    assert (both.shown(identifier)["state"], both.shown(identifier)["error_code"]) == ("refused", "archive_refused")
    assert not (both.service.quarantine / identifier).exists()


def test_a_consent_that_is_withdrawn_before_the_import_ends_it(both: Inbox) -> None:
    """The notice is acknowledged by signature, the files are deleted, and nothing is imported."""
    sent_id, identifier = both.compared()
    both.sender.call("DELETE", f"/v1/transfers/{sent_id}")

    both.announce()
    service.tidy(both.service)

    shown = both.shown(identifier)
    assert (shown["state"], shown["notice"], shown["receipt"]) == ("withdrawn", "withdrawn", None)
    assert [notice["state"] for notice in both.sent(sent_id)["notices"]] == ["acknowledged"]
    assert not (both.service.quarantine / identifier).exists()


def test_notices_to_a_recipient_are_listed(both: Inbox) -> None:
    """By the id or the domain of the recipient, for officers only, with what the recipient has signed."""
    sent_id, identifier = both.compared()
    both.sender.call("DELETE", f"/v1/transfers/{sent_id}")
    both.announce()

    found = both.sender.call("GET", "/v1/notices?recipient=localhost", *OFFICER).json()["notices"]
    (notice,) = [notice for notice in found if notice["transfer_id"] == sent_id]
    assert (notice["kind"], notice["state"], notice["recipient_id"]) == ("withdrawn", "acknowledged", both.recipient)
    assert notice["export_id"] == both.sent(sent_id)["export_id"]
    answer = both.sender.call("GET", "/v1/notices", *OFFICER).json()
    assert answer == {"notices": found, "next": None}
    pages, cursor = list[dict[str, object]](), ""
    for _page in found:
        answer = both.sender.call("GET", f"/v1/notices?recipient=localhost&limit=1{cursor}", *OFFICER).json()
        pages, cursor = [*pages, *answer["notices"]], f"&cursor={answer['next']}"
    assert (pages, answer["next"]) == (found, None)
    assert both.sender.call("GET", "/v1/notices?recipient=elsewhere.example", *OFFICER).status_code == 404
    assert both.sender.call("GET", "/v1/notices", "sam", "staff").status_code == 403
    assert both.shown(identifier)["state"] == "withdrawn"


def test_a_consent_that_is_withdrawn_after_the_import_is_shown(both: Inbox) -> None:
    """What was imported stays until an officer undoes it: whether there is another legal basis, a person decides."""
    sent_id, identifier = both.imported()
    assert both.sender.call("DELETE", f"/v1/authorisations/{both.consents[sent_id]}").status_code == 204
    both.announce()

    shown = both.shown(identifier)
    assert (shown["state"], shown["notice"]) == ("imported", "withdrawn")
    both.call("undo", identifier)
    both.work()


def test_a_notice_that_asks_less_does_not_hide_a_withdrawal(both: Inbox) -> None:
    """Notices come in any order and repeatedly; the page and the API keep the one that asks most of the officer."""
    sent_id, identifier = both.imported()
    about = {"transfer": sent_id, "issuer": both.sender.world.place.settings.iss, "audience": "localhost"}
    seen = []
    for number, kind in enumerate(["rectified", "withdrawn", "rectified", "expired", "erased", "withdrawn"]):
        sent = both.webhook({**about, "notice": f"ntc_{number}"}, f"transfer.{kind}", id=f"msg_notice_{number}")
        assert post(both, **sent).status_code == 200
        seen.append(both.shown(identifier)["notice"])

    assert seen == ["rectified", "withdrawn", "withdrawn", "withdrawn", "erased", "erased"]


def test_keys_and_webhook_are_proven_by_the_inbox(both: Inbox) -> None:
    """The sender's challenge is answered with the key that decrypts and the key that signs receipts."""
    answer = both.sender.call("POST", f"/v1/recipients/{both.recipient}/prove", *OFFICER)

    assert answer.status_code == 200, answer.text
    assert answer.json()["proven_at"]


def test_transfers_are_listed_page_by_page(both: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is on one page, in the order of the whole list: first those that await a decision."""
    both.offered()
    both.compared()
    both.offered()
    found, path = list[str](), "/staff/inbox"
    with both.receiver.browser(*OFFICER) as visitor:
        whole = visitor.client.get(path).text.split('href="/staff/inbox/')[1:]
        monkeypatch.setattr(received.page, "__kwdefaults__", {"state": None, "after": None, "limit": 1})
        while path:
            [row] = (shown := visitor.client.get(path).text).split('href="/staff/inbox/')[1:]
            found.append(row[:24])
            cursor = shown.partition('href="/staff/inbox?cursor=')[2].partition('"')[0]
            path = cursor and f"/staff/inbox?cursor={cursor}"
        assert visitor.client.get("/staff/inbox?cursor=x").status_code == 400
    assert len(found) > 2
    assert found == [row[:24] for row in whole]


def test_what_no_officer_decides_on_is_refused_in_time(both: Inbox) -> None:
    """The files are deleted, and the receipt says why."""
    sent_id, identifier = both.compared()
    with writing(both.receiver.world.engine) as connection:
        table = models.received_transfer
        aged = update(table).where(table.c.id == identifier)
        connection.execute(aged.values(fetched_at=now(-14 * 86_400 - 60)))

    service.tidy(both.service)
    both.work()

    assert both.shown(identifier)["state"] == "expired"
    assert (both.sent(sent_id)["state"], both.sent(sent_id)["error_code"]) == ("refused", "not_decided")
    assert not (both.service.quarantine / identifier).exists()


def test_the_quarantine_keeps_no_stray_files(both: Inbox) -> None:
    """A folder without a transfer in quarantine is deleted; other files in the folder are not touched."""
    stray = folder_of(both.service.quarantine, "rcv_" + "0" * 20)
    foreign = both.service.quarantine / "notes"
    foreign.mkdir()
    (stray / "volume.zip").write_text("left by a killed process")

    service.tidy(both.service)

    assert (stray.exists(), foreign.exists()) == (False, True)
    assert both.service.quarantine.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("login", [("sam", "staff"), ("ada", "auditor"), ("tom", "tenant_admin"), ("usr_owner",)])
def test_only_officers_see_the_inbox(both: Inbox, login: tuple[str, ...]) -> None:
    """An existing and a missing transfer look the same, to a company's administrator too."""
    _, identifier = both.offered()
    tenant = {"tenant": "ten_a"} if "tenant_admin" in login else {}
    headers = both.receiver.bearer(*login, **tenant)
    paths = ["", f"/{identifier}", "/rcv_" + "0" * 20, f"/{identifier}/differences"]

    found = [httpx.get(f"{both.receiver.url}/v1/inbox{path}", headers=headers) for path in paths]

    assert {answer.status_code for answer in found} == {403}
    assert len({answer.json()["detail"] for answer in found}) == 1
    assert httpx.post(f"{both.receiver.url}/v1/inbox/{identifier}/undo", headers=headers).status_code == 403


def test_an_officer_does_not_decide_on_their_own_data(both: Inbox) -> None:
    """Neither as a target, nor once another officer has chosen it."""
    _, identifier = both.compared()
    own = both.receiver.bearer(HERE, "officer")
    url = f"{both.receiver.url}/v1/inbox/{identifier}"

    assert httpx.get(url, headers=own).status_code == 403
    assert httpx.post(f"{url}/target", headers=own, json={"subject": f"user:{HERE}"}).status_code == 403
    both.call("refuse", identifier, reason="other")


def test_an_erasure_deletes_what_is_remembered_of_an_import(both: Inbox) -> None:
    """The command deletes the received transfer, its messages, and the journal in the platform's database."""
    _, identifier = both.imported()
    erase = ("erase", "--subject", f"user:{HERE}", "--reason", "ticket 17", "--ground", "subject", "--json")

    result = CliRunner(env=both.environment).invoke(main, erase)

    assert result.exit_code == 0, result.output
    assert orjson.loads(result.output)["journal_entries"] > 0
    assert identifier not in {row["id"] for row in both.listed()}
    assert kinds_of_messages(both, identifier) == []
    with opened(both.service.into, make=False) as engine, engine.begin() as connection:
        assert runs.listed(connection) == []


def test_the_page_shows_values_as_text(both: Inbox) -> None:
    """HTML and scripts in a record are shown as they are written; the page runs and loads nothing of them."""
    hostile = '<script>window.pwned = 1</script><img src=x onerror="pwned()">'
    both.records[0] = profile(full_name=hostile)
    try:
        _, identifier = both.compared()
    finally:
        both.records[0] = profile()

    with both.receiver.browser(*OFFICER) as visitor:
        page = visitor.client.get(f"/staff/inbox/{identifier}").text

    assert str(escape(hostile)) in page
    assert hostile not in page
    both.call("refuse", identifier, reason="other")


def test_an_officer_decides_on_the_page(both: Inbox) -> None:
    """Choose the target, look at the difference, import and undo, each by its button."""
    _, identifier = both.offered()
    both.work()
    page = f"/staff/inbox/{identifier}"

    with both.receiver.browser(*OFFICER) as visitor:
        assert identifier[4:12] in visitor.client.get("/staff/inbox").text
        sent = visitor.send(f"{page}/target", page=page, kind="user", id=HERE, on_conflict="take")
        assert sent.status_code == 303, sent.text
        both.work()
        (comparison,) = re.findall(r'name="comparison" value="([0-9a-f]{32})"', visitor.client.get(page).text)
        assert visitor.send(f"{page}/import", page=page, comparison=comparison).status_code == 303
        assert visitor.send(f"{page}/import", page=page, comparison=comparison).status_code == 303
        both.work()
        assert "Undo the import" in visitor.client.get(page).text
        assert visitor.send(f"{page}/undo", page=page).status_code == 303
        both.work()
        assert "Undone" in visitor.client.get(page).text


def test_the_command_line_decides_too(both: Inbox) -> None:
    """`senders list`, `inbox list|show|target|import|undo|refuse` answer what the API answers."""
    _, identifier = both.offered()
    both.work()

    def command(*arguments: str) -> Any:
        with capture_logs():
            result = CliRunner(env=both.environment).invoke(main, [*arguments, "--json"])
        assert result.exit_code == 0, result.output
        return orjson.loads(result.output)

    assert [one["name"] for one in command("senders", "list")] == ["A Care"]
    assert identifier in {row["id"] for row in command("inbox", "list")}
    assert command("inbox", "target", identifier, "--subject", f"user:{HERE}")["state"] == "comparing"
    both.work()
    (record,) = command("inbox", "show", identifier, "--values")["differences"]
    assert record["fields"]["full_name"]["theirs"] == "Ann There"
    assert command("inbox", "import", identifier)["state"] == "importing"
    both.work()
    assert command("inbox", "undo", identifier)["state"] == "undoing"
    both.work()
    _, other = both.offered()
    both.work()
    assert command("inbox", "refuse", other, "--reason", "not_wanted")["state"] == "declined"
