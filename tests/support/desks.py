"""Where messages are written and sent from: a deployment with a mail server, and a directory that a test controls."""

from __future__ import annotations

from typing import Any

from factories import World
from postbox import Postbox

from portability.api import Subject
from portability.api.directories import Contact, Directory
from portability.database.engine import reading
from portability.messages import outbox
from worker.clock.envelopes import Desk


class SameContact:
    """Every subject is reached in the same way."""

    def __init__(self, address: str = "reader@mail.example", language: str = "en", **values: Any) -> None:
        self._contact = Contact(
            **{"address": address, "language": language, "verified": True, "changed_at": None, **values}
        )

    def contact(self, _subject: Subject) -> Contact:
        return self._contact


def mailing(made: World, box: Postbox, directory: Directory) -> Desk:
    """The desk of a deployment that sends its mail to a box."""
    settings = {"smtp_url": box.url, "mail_from": "Vlint <data@vlint.example>", "smtp_seconds": 5.0}
    return Desk(made.engine, made.place.settings.model_copy(update=settings), directory)


def reported(made: World, export_id: str, *authorisation_ids: str) -> list[str]:
    """The kinds of messages that a person sees on their page about an export and authorisations."""
    with reading(made.engine) as connection:
        return [row["kind"] for row in outbox.messages(connection, [export_id], authorisation_ids)]
