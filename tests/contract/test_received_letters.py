"""Each letter that docs/mail.md lists is received by a real mail server in each language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import feeding
import pytest
from babel.messages.pofile import read_po
from desks import SameContact, mailing
from factories import World
from postbox import Postbox, bodies
from received_steps import imported, recorded_sender, undone
from repository import ROOT, table
from sqlalchemy import select, update
from transferring import OWNER, TEST, Provider, authorised, encrypted, ready, sending_world, started

from portability.api import SubjectKind
from portability.database import models
from portability.database.engine import reading, writing
from portability.delivery import codes, links
from portability.messages import outbox
from portability.messages.outbox import MessageKind
from portability.requests import referrals
from portability.requests.policy import Actor
from portability.transfers import authorisations, sending
from worker.clock import message_delivery

LISTED = [row["kind"] for row in table(ROOT / "docs" / "mail.md", "kind")]
LANGUAGES = ("de", "en", "id")
STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)
"""For dark screens; the only part of a letter that may have braces."""
PLAIN = ("expiring", "extended", "downloaded", "fetched", "recalled", "address_changed")
"""Letters about an export that is ready, beside those that its request, its end, a link and a transfer bring."""


def sentences(language: str) -> Mapping[str, str]:
    """The sentences of mail as another library reads them from the catalogue."""
    with (ROOT / "portability" / "locale" / language / "mail.po").open("rb") as file:
        return {str(found.id): str(found.string) for found in read_po(file) if found.id}


def everything_happens(made: World, other: Provider) -> None:
    """Each kind of message is queued."""
    folder = made.place.settings.keys
    export_id = ready(made, tell_tenants=True)
    consent = authorised(made, other.recipient)
    feed = feeding.begin(made, profile="portability")
    withdrawn = started(made, export_id, other.recipient)
    encrypted(made)
    with writing(made.engine) as connection:
        sending.revoke(connection, withdrawn, actor=TEST)
    authorised(made, other.recipient)
    started(made, export_id, other.recipient)
    encrypted(made)
    authorised(made, other.recipient, actor=Actor("officer", "olga"), evidence="T-1")
    taken_back = authorised(made, other.recipient)
    with writing(made.engine) as connection:
        authorisations.revoke(connection, taken_back, actor=str(OWNER))
        # Letters that are no longer true are not sent.
        letter, begun = models.notification.c, (MessageKind.CONSENT_GIVEN, MessageKind.TRANSFERRED)
        outdated = (letter.occasion.in_((taken_back, withdrawn)), letter.kind.in_(begun))
        connection.execute(models.notification.delete().where(*outdated))
        for kind in PLAIN:
            outbox.queue(connection, MessageKind(kind), export_id)
        connection.execute(update(models.feed).values(authorisation_id=consent))
        outbox.queue(connection, MessageKind("feed_stopped"), export_id, occasion=feed.id)
        issued = links.issue(connection, folder, export_id, audience="code", ttl_seconds=600, actor="operator:test")
        codes.send(connection, folder, links.resolve(connection, folder, issued.token))
        codes.send_to_address(connection, folder, SubjectKind.EMAIL, "reader@mail.example", language="", per_hour=9)
        row = connection.execute(select(models.export).where(models.export.c.id == export_id)).mappings().one()
        referrals.note(connection, made.place.settings, row, {"ten_1": ["con_1"]})
    for state, kinds in (("failed", ("failed", "log_in")), ("denied", ("denied", "not_found"))):
        ended = ready(made, f"user:usr_{state}")
        with writing(made.engine) as connection:
            same = models.export.c.id == ended
            connection.execute(models.notification.delete().where(models.notification.c.export_id == ended))
            connection.execute(update(models.export).where(same).values(state=state))
            for kind in kinds:
                outbox.queue(connection, MessageKind(kind), ended)
    sender = recorded_sender(made)
    imported(made, sender, "user:usr_1")
    gone = undone(made, sender, "user:usr_1")
    with writing(made.engine) as connection:
        connection.execute(
            models.notification.delete().where(letter.occasion == gone, letter.kind == "received_for_you")
        )


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_letter_is_received(tmp_path: Path, box: Postbox, other: Provider, language: str) -> None:
    """One of each kind, with the subject of the language, in text and HTML, with no placeholder and no person."""
    made = sending_world(tmp_path)
    other.recorded(made)
    everything_happens(made, other)
    with writing(made.engine) as connection:  # the language of a code is chosen on its page
        connection.execute(update(models.notification).values(language=language))
    while message_delivery.deliver(mailing(made, box, SameContact(language=language))):
        pass
    with reading(made.engine) as connection:
        ended = connection.execute(select(models.notification)).mappings().all()
    assert {row["kind"]: (row["state"], row["language"]) for row in ended} == dict.fromkeys(LISTED, ("sent", language))
    known = sentences(language)
    received = {str(message["Message-ID"]): message for message in box.taken}
    for row in ended:
        message = received.pop(f"<{row['id']}@vlint.example>")
        assert str(message["Subject"]) == known[f"{row['kind']}.subject"]
        for body in bodies(message):
            assert known["greeting"] in body
            said = STYLE.sub("", body)
            assert not any(mark in said for mark in ("{", "}", "usr_1", "usr_failed"))
    assert received == {}


def test_an_import_that_was_undone_is_not_announced(tmp_path: Path, box: Postbox) -> None:
    """The mail server was away meanwhile: the letter would say that the data is here."""
    made = sending_world(tmp_path)
    undone(made, recorded_sender(made), "user:usr_1")
    while message_delivery.deliver(mailing(made, box, SameContact())):
        pass
    with reading(made.engine) as connection:
        ended = connection.execute(select(models.notification)).mappings().all()
    assert {row["kind"]: (row["state"], row["reason"]) for row in ended} == {
        "received_for_you": ("page", "outdated"),
        "received_undone": ("sent", None),
    }
