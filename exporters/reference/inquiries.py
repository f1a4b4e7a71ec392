"""Inquiries to the platform's own support and sales, and the answers."""

from __future__ import annotations

from functools import partial

from exporters.reference import row_filters, schema
from exporters.reference.fields import CREATED_AT, ID
from exporters.reference.retention import ACCOUNT
from exporters.sql.exporter import SqlExporter
from exporters.sql.source import Named, table_source
from portability.api import Exporter, Person, Provenance, Role, Sources

INQUIRIES = schema.inquiries.c
REPLIES = schema.inquiry_replies

_source = partial(
    table_source,
    provenance=Provenance.PROVIDED,
    role=Role.CONTROLLER,
    kinds=row_filters.READERS,
    retention=ACCOUNT,
)

SOURCES = (
    _source(
        schema.inquiries,
        "inquiries",
        "Inquiries",
        "What you asked our support or sales team, from your account or from your verified e-mail address.",
        ID,
        Named("user_id", "Identifier of your account; null if you wrote without logging in."),
        Named("email", "E-mail address that you gave."),
        Named("name", "Name that you gave."),
        Named("company_name", "Name of the company that you gave."),
        Named("department", "Department that you contacted: support or sales."),
        Named("channel", "Channel of the inquiry: form, email, chat or phone."),
        Named("subject", "Subject that you gave."),
        Named("message", "What you wrote.", None, True),
        Named("status", "State of the inquiry: open, answered or closed.", Provenance.OBSERVED),
        Named("created_at", "When it reached us, in UTC.", Provenance.OBSERVED),
        Named("closed_at", "When it was closed, in UTC; null while it is open.", Provenance.OBSERVED),
        Named(
            "private_note",
            "Private notes of our staff on the inquiry; null if empty.",
            Provenance.DERIVED,
            person=Person.NOTE,
        ),
        where=row_filters.rows("inquiries/inquiries"),
    ),
    _source(
        REPLIES,
        "replies",
        "Replies",
        "Messages of both sides after the first message of an inquiry; members of our staff are not named.",
        ID,
        Named("inquiry_id", "Identifier of the inquiry, as in inquiries/inquiries."),
        Named("author", "Who wrote: requester (you) or staff (us)."),
        Named("body", "What was written.", None, True),
        Named("sent_at", "When it was sent, in UTC.", Provenance.OBSERVED),
        CREATED_AT,
        where=row_filters.rows("inquiries/replies"),
    ),
)


def exporter(sources: Sources) -> Exporter:
    """Make the exporter for the policy's row "any information you provide to our support or sales team"."""
    return SqlExporter(sources, *SOURCES, selects_by=row_filters.selects_by("inquiries"))
