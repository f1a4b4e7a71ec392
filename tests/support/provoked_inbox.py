"""Causes of events about senders and received transfers. What the receiving service does is done step by step."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import orjson
from provoking import Stage, provokes
from received_steps import ORIGIN, SECRET, fetched, offered_here, step, webhook
from sqlalchemy import update

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.inbox import offers, received, senders, work
from portability.inbox.states import ReceiptState, ReceivedState

OFFICER = ("olga", "officer")


def _sender(stage: Stage) -> Mapping[Any, Any]:
    """A sender that a command has recorded."""
    secret = stage.folder / "secret.txt"
    secret.write_text(SECRET)
    issuer = f"https://{secrets.token_hex(4)}.example"
    keys = ("--jwks-url", f"{ORIGIN}/jwks.json")
    added = stage.command("senders", "add", "--name", "A", "--issuer", issuer, *keys, "--secret", str(secret), "--json")
    with reading(stage.world.engine) as connection:
        return senders.get(connection, orjson.loads(added.output)["id"])


def _compared(stage: Stage) -> str:
    """A received transfer that an officer can decide on."""
    identifier, _ = offered_here(stage.world, _sender(stage))
    fetched(stage.world, identifier)
    stage.call("POST", f"/v1/inbox/{identifier}/target", *OFFICER, json={"subject": f"user:{stage.person()}"})
    step(stage.world, identifier, ReceivedState.COMPARED)
    return identifier


def _accepted(stage: Stage) -> str:
    identifier = _compared(stage)
    shown = stage.call("GET", f"/v1/inbox/{identifier}", *OFFICER)
    stage.call("POST", f"/v1/inbox/{identifier}/import", *OFFICER, json={"comparison": shown["comparison"]})
    return identifier


@provokes("sender.added", "sender.removed")
def a_sender(stage: Stage) -> None:
    stage.command("senders", "remove", _sender(stage)["id"])


@provokes("received.offered", "received.refused")
def an_offer_that_a_check_refuses(stage: Stage) -> None:
    identifier, _ = offered_here(stage.world, _sender(stage))
    step(stage.world, identifier, ReceivedState.REFUSED, {"code": "wrong_key"}, error_code="wrong_key")


@provokes("received.fetched", "received.assigned", "received.declined")
def a_refusal_by_an_officer(stage: Stage) -> None:
    identifier = _compared(stage)
    stage.call("POST", f"/v1/inbox/{identifier}/refuse", *OFFICER, json={"reason": "not_wanted"})


@provokes("received.accepted", "received.imported", "received.undo_asked", "received.undone")
def an_import_that_is_undone(stage: Stage) -> None:
    identifier = _accepted(stage)
    step(stage.world, identifier, ReceivedState.IMPORTED, {"import": "a" * 16}, import_id="a" * 16)
    stage.call("POST", f"/v1/inbox/{identifier}/undo", *OFFICER)
    step(stage.world, identifier, ReceivedState.UNDONE)


@provokes("received.failed")
def an_import_that_fails(stage: Stage) -> None:
    step(stage.world, _accepted(stage), ReceivedState.FETCHED, {"code": "bad_archive"})


@provokes("received.noticed", "received.withdrawn")
def a_notice_before_the_import(stage: Stage) -> None:
    identifier, offer = offered_here(stage.world, _sender(stage))
    notice = webhook(offer.sender, "transfer.withdrawn", str(offer.data["transfer"]))
    with writing(stage.world.engine) as connection:
        offers.note(connection, notice)
    with reading(stage.world.engine) as connection:
        assert received.get(connection, identifier)["state"] == ReceivedState.WITHDRAWN


@provokes("received.expired")
def an_offer_that_was_not_fetched(stage: Stage) -> None:
    identifier, _ = offered_here(stage.world, _sender(stage))
    table = models.received_transfer
    with writing(stage.world.engine) as connection:
        connection.execute(update(table).where(table.c.id == identifier).values(offer_ends_at=now(-172_800)))
        work.expire(connection, 14)


@provokes("received.receipted")
def a_receipt_that_is_accepted(stage: Stage) -> None:
    _settled(stage, ReceiptState.SENT)


@provokes("received.receipt_failed")
def a_receipt_that_is_not_accepted(stage: Stage) -> None:
    _settled(stage, ReceiptState.FAILED)


def _settled(stage: Stage, state: ReceiptState) -> None:
    identifier = _compared(stage)
    stage.call("POST", f"/v1/inbox/{identifier}/refuse", *OFFICER, json={"reason": "other"})
    with reading(stage.world.engine) as connection:
        work.settle_receipt(stage.world.engine, received.get(connection, identifier), state, "other")
