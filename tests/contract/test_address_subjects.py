"""A subject that is an address, through the whole product: its mail, its archive, and where the address is stored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from archives import members
from factories import MadeUpExporter, World, things, world
from postbox import Postbox, UnaskedDirectory, bodies
from sqlalchemy import select
from structlog.testing import capture_logs

from portability.api import Identity, Subject, SubjectKind
from portability.database import models
from portability.database.engine import reading, writing
from portability.delivery import codes, links
from portability.messages.outbox import Channel
from portability.retention import erasures
from portability.retention.erasures import Whom
from portability.settings import Settings
from worker.clock import erasure, message_delivery
from worker.clock.envelopes import Desk

ADDRESS = "canary.reader@news.example"
NUMBER = "+493090182020"
PLACES = {("export", "subject_id")}
"""Columns of the control database that may contain the address of a subject that has one export."""


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    exporter = MadeUpExporter(things(3), subject_kinds=frozenset({SubjectKind.EMAIL, SubjectKind.PHONE}))
    return world(tmp_path, {"made": exporter}, database_url=control_url).with_all_keys()


def mail_all(made: World, box: Postbox, **more: Any) -> None:
    chosen = {"smtp_url": box.url, "mail_from": "Data <data@vlint.example>", "smtp_seconds": 5.0, **more}
    settings: Settings = made.place.settings.model_copy(update=chosen)
    message_delivery.deliver(Desk(made.engine, settings, UnaskedDirectory()))


def columns_with(made: World, text: str) -> set[tuple[str, str]]:
    """Columns of the control database that contain a text."""
    found = set()
    with reading(made.engine) as connection:
        for table in models.metadata.sorted_tables:
            for row in connection.execute(select(table)).mappings():
                found |= {(table.name, name) for name, value in row.items() if text in str(value)}
    return found


@pytest.mark.requirement("R45")
def test_a_reader_gets_a_mail_with_a_link_that_needs_a_code(made: World, box: Postbox) -> None:
    """At the proved address, without the directory; the code that opens the link comes to the same address."""
    identifier = made.request(f"email:{ADDRESS.upper()}")
    made.advance_all()
    mail_all(made, box)
    assert made.view(identifier)["state"] == "ready"
    assert box.recipients == [ADDRESS, ADDRESS]
    (token,) = {found for body in bodies(box.taken[1]) for found in re.findall(r"localhost:8000/d/([^\s\"<]+)", body)}
    assert not any("/me" in body for message in box.taken for body in bodies(message))

    folder = made.place.settings.keys
    with writing(made.engine) as connection:
        link = links.resolve(connection, folder, token)
        codes.send(connection, folder, link)
    mail_all(made, box)
    (code,) = {found for body in bodies(box.taken[2]) for found in re.findall(r"\b\d{4} \d{4}\b", body)}
    with writing(made.engine) as connection:
        assert (link["audience"], link["subject_kind"]) == ("code", "email")
        assert codes.check(connection, folder, link, code)


@pytest.mark.parametrize(("address_login", "count"), [("email", 2), ("", 0)])
def test_a_reader_is_led_to_the_login_with_a_code(made: World, box: Postbox, address_login: str, count: int) -> None:
    """The mail about the request names that page, in text and HTML, where the deployment has it."""
    made.request(f"email:{ADDRESS}")
    mail_all(made, box, address_login=address_login)
    (message,) = box.taken

    assert sum("http://localhost:8000/login/address" in body for body in bodies(message)) == count
    assert message["Content-Language"] == "en"


@dataclass
class AccountFinder(MadeUpExporter):
    """Finds the account that has the address."""

    def identities(self, subject: Subject) -> Sequence[Identity]:
        named = subject.identities[0].kind == "email"
        return [Identity("made", "user_id", "usr_canary", verified=True)] if named else []


@pytest.mark.requirement("R15")
def test_an_address_of_an_account_gets_a_mail_to_log_in(made: World, box: Postbox) -> None:
    """Without any data, code or link to an archive; the export fails, and an officer closes the request."""
    made.place.exporters["made"] = AccountFinder(things(3))  # type: ignore[index]  # a dict here
    identifier = made.request(f"email:{ADDRESS}")
    made.advance_all()
    mail_all(made, box)

    view = made.view(identifier)
    assert (view["state"], view["error"]["code"], made.stored_keys()) == ("failed", "address_of_account", [])
    texts = bodies(box.taken[-1])
    assert (len(box.taken), box.recipients[-1]) == (2, ADDRESS)
    assert all("http://localhost:8000/me" in body for body in texts)
    assert not any("/d/" in body or "usr_canary" in body or ADDRESS in body for body in texts)
    with reading(made.engine) as connection:
        kinds = [row["kind"] for row in connection.execute(select(models.notification)).mappings()]
    assert sorted(kinds) == ["acknowledged", "log_in"]


def test_an_international_domain_gets_mail(made: World, box: Postbox) -> None:
    """The id has the letters of the domain; a mail server gets the form in ASCII."""
    made.request("email:reader@b\u00fccher.example")
    mail_all(made, box)
    assert box.recipients == ["reader@xn--bcher-kva.example"]


def test_a_number_gets_no_mail(made: World, box: Postbox) -> None:
    """Without an SMS gateway the message fails visibly, so that someone informs the person in another way."""
    made.request(f"phone:{NUMBER}")
    mail_all(made, box)
    message_delivery.leave_on_page(made.engine, Channel.SMS)
    with reading(made.engine) as connection:
        row = connection.execute(select(models.notification)).mappings().one()
    assert (row["state"], row["reason"], box.taken) == ("failed", "no_sms", [])


@pytest.mark.requirement("R45")
@pytest.mark.parametrize(("subject", "address"), [(f"email:{ADDRESS}", ADDRESS), (f"phone:{NUMBER}", NUMBER)])
def test_an_address_is_stored_where_the_id_of_a_subject_is(
    made: World, box: Postbox, subject: str, address: str, capsys: Any
) -> None:
    """In one column; not in events, messages, links, keys of objects, logs, nor in the archive's own files."""
    with capture_logs() as logs:
        identifier = made.request(subject)
        made.advance_all()
        mail_all(made, box)
        with writing(made.engine) as connection:
            links.issue(
                connection, made.place.settings.keys, identifier, ttl_seconds=60, actor="operator:test", audience="code"
            )
    assert columns_with(made, address) == PLACES
    written = [*logs, *made.stored_keys(), made.view(identifier), capsys.readouterr()]
    assert address not in str(written)
    archive = list(members(made.fetch(identifier)))
    assert archive
    assert not any(address.encode() in body or address in name for name, body in archive)


@pytest.mark.requirement("R5")
def test_an_erasure_leaves_no_address(made: World, box: Postbox) -> None:
    """Afterwards no column contains it, and a later request has another pseudonym."""
    identifier = made.request(f"email:{ADDRESS}")
    made.advance_all()
    mail_all(made, box)
    earlier = made.view(identifier)["subject"]
    with writing(made.engine) as connection:
        erasures.begin(
            connection, Whom("email", ADDRESS, None), reason="case 1", actor="operator:test", ground="subject"
        )
    erasure.advance(made.engine, lambda: made.place.storage)
    assert columns_with(made, ADDRESS) == set()
    assert made.view(made.request(f"email:{ADDRESS}"))["subject"] != earlier
