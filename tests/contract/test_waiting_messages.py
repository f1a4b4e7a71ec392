"""How long messages wait, by what they wait for: a mail server that takes nothing, or the mailbox of one person."""

from __future__ import annotations

import pytest
from factories import World
from postbox import Postbox
from sqlalchemy import update

from portability import metrics
from portability.api import Subject
from portability.api.directories import Contact
from portability.database import models
from portability.database.engine import now, writing
from portability.messages.mail import MailUnavailable
from worker.clock import message_delivery
from worker.clock.envelopes import Desk

FULL = "452 4.2.2 mailbox full"
HOUR = 3600


class OneAddress:
    """A directory that knows the same address of everyone."""

    def contact(self, _subject: Subject) -> Contact | None:
        return Contact(address="canary.person@mail.example", language="en", verified=True, changed_at=None)


def round_of_mail(made: World, url: str) -> int:
    """How many messages a round of the clock settles with this mail server."""
    chosen = {"smtp_url": url, "mail_from": "Vlint <data@vlint.example>", "smtp_seconds": 5.0, "backoff_seconds": HOUR}
    return message_delivery.deliver(Desk(made.engine, made.place.settings.model_copy(update=chosen), OneAddress()))


def queue_of(made: World, box: Postbox, *people: str, hours: int) -> None:
    """Each of the people makes a request some hours ago, whose message the server defers."""
    for name in people:
        made.request(f"user:usr_{name}")
    sound, box.on_recipient = box.on_recipient, lambda _address: FULL
    round_of_mail(made, box.url)
    box.on_recipient = sound
    waiting = update(models.notification).where(models.notification.c.state == "queued")
    with writing(made.engine) as connection:
        connection.execute(waiting.values(created_at=now(-hours * HOUR)))


def hours_by_what(made: World) -> dict[str, int]:
    found = {metric.name: metric for metric in metrics.collect(made.engine)}
    waits = found["portability_oldest_waiting_notification_age_seconds"].samples
    return {sample.labels["waits_for"]: round(sample.value / HOUR) for sample in waits}


def test_a_full_mailbox_is_no_fault_of_the_server(made: World, box: Postbox) -> None:
    """One person's mail waits for the mailbox, however many messages; no service has a fault."""
    assert hours_by_what(made) == {"service": 0, "mailbox": 0}
    queue_of(made, box, "canary", "canary", "canary", "canary", hours=5)
    assert hours_by_what(made) == {"service": 0, "mailbox": 5}


def test_a_server_that_defers_everyone_takes_nothing(made: World, box: Postbox) -> None:
    """Three people are deferred and no later mail was taken: it is the server. A mail that it takes shows otherwise."""
    queue_of(made, box, "one", "two", hours=4)
    assert hours_by_what(made) == {"service": 0, "mailbox": 4}
    queue_of(made, box, "three", hours=5)
    assert hours_by_what(made) == {"service": 5, "mailbox": 5}
    made.request("user:usr_other")
    assert round_of_mail(made, box.url) == 1
    assert hours_by_what(made) == {"service": 0, "mailbox": 5}


def test_what_no_server_was_asked_to_take_waits_for_a_service(made: World, box: Postbox) -> None:
    """A server that is away is found before a message is taken: the message has no reason, and its age counts."""
    queue_of(made, box, "canary", hours=5)
    made.request("user:usr_other")
    with writing(made.engine) as connection:
        changed = update(models.notification).where(models.notification.c.attempts == 0)
        connection.execute(changed.values(created_at=now(-2 * HOUR)))
    with pytest.raises(MailUnavailable):
        round_of_mail(made, "smtp://127.0.0.1:1")
    assert hours_by_what(made) == {"service": 2, "mailbox": 5}
