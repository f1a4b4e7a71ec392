"""What somebody told support and sales of the platform itself, and what they were answered."""

from __future__ import annotations

from functools import partial

from exporters import schema, walls
from exporters.fields import CREATED_AT, ID
from exporters.retention import ACCOUNT
from exporters.source import Named, source
from exporters.sql import SqlExporter
from portability.api import Exporter, Provenance, Role, Sources

INQUIRIES = schema.inquiries.c
REPLIES = schema.inquiry_replies

_source = partial(
    source,
    provenance=Provenance.PROVIDED,
    role=Role.CONTROLLER,
    kinds=walls.USERS,
    where=walls.written_by(INQUIRIES.user_id, INQUIRIES.email),
    retention=ACCOUNT,
)

SOURCES = (
    _source(
        schema.inquiries,
        "inquiries",
        "Inquiries",
        "What you asked our support or sales team, from your account or from your verified e-mail address.",
        columns=(
            ID,
            Named("user_id", "Identifier of your account; null if you wrote without logging in."),
            Named("email", "E-mail address that you gave."),
            Named("name", "Name that you gave."),
            Named("company_name", "Name of the company that you gave."),
            Named("department", "Whom you asked: support or sales."),
            Named("channel", "Way on which you wrote: form, email, chat or phone."),
            Named("subject", "Subject that you gave."),
            Named("message", "What you wrote.", None, True),
            Named("status", "State of the inquiry: open, answered or closed.", Provenance.OBSERVED),
            Named("created_at", "When it reached us, in UTC.", Provenance.OBSERVED),
            Named("closed_at", "When it was closed, in UTC; null while it is open.", Provenance.OBSERVED),
        ),
    ),
    _source(
        REPLIES,
        "replies",
        "Replies",
        "What was written after the first message of an inquiry, by both sides; members of our staff are not named.",
        columns=(
            ID,
            Named("inquiry_id", "Identifier of the inquiry, as in inquiries/inquiries."),
            Named("author", "Who wrote: requester (you) or staff (us)."),
            Named("body", "What was written.", None, True),
            Named("sent_at", "When it was sent, in UTC.", Provenance.OBSERVED),
            CREATED_AT,
        ),
        origin=REPLIES.join(schema.inquiries, REPLIES.c.inquiry_id == INQUIRIES.id),
    ),
)


def exporter(sources: Sources) -> Exporter:
    """The exporter of the policy's row "any information you provide to our support or sales team"."""
    return SqlExporter(sources, *SOURCES)
