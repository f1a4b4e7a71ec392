"""Which datasets make conversations: the viewer lists and opens them as calls, chats and inquiries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portability.api import JSON


@dataclass(frozen=True, slots=True)
class TalkForm:
    """The datasets of one exporter that make conversations, and the fields that connect them."""

    parent: str
    """Dataset with one record for each conversation; its field `id` identifies it."""
    said: str
    """Dataset with one record for each message or segment."""
    link: str
    """Field of the other datasets: the id of the conversation."""
    who: str
    text: str
    """Field of `said` with the words."""
    at: str
    """Field of `said`: its time, or seconds after the beginning."""
    moments: tuple[str, ...]
    """Fields of `parent` with the time of the conversation; the first that has a value counts."""
    facts: tuple[str, ...]
    """Fields of `parent` that the list of conversations shows."""
    files: str | None = None
    notes: str | None = None
    first: str | None = None
    """Field of `parent` with the first message, if it is stored there."""

    @property
    def children(self) -> tuple[str, ...]:
        """Return the datasets whose records belong to a conversation; the first is `said`."""
        return tuple(name for name in (self.said, self.files, self.notes) if name is not None)

    def to_json(self) -> dict[str, JSON]:
        """Return what the page needs to know."""
        names = ("parent", "said", "files", "notes", "link", "who", "text", "at", "first")
        return {**{name: getattr(self, name) for name in names}, "moments": self.moments, "facts": self.facts}


TALKS: Mapping[str, TalkForm] = {
    "calls": TalkForm(
        "calls",
        "transcripts",
        "call_id",
        who="speaker",
        text="text",
        at="starts_seconds",
        moments=("started_at", "created_at"),
        facts=("direction", "caller_number", "called_number", "duration_seconds", "status", "outcome"),
        files="recordings",
        notes="analyses",
    ),
    "chats": TalkForm(
        "conversations",
        "messages",
        "conversation_id",
        who="sender",
        text="text",
        at="sent_at",
        moments=("opened_at", "created_at"),
        facts=("subject", "channel", "status", "department"),
        files="attachments",
    ),
    "inquiries": TalkForm(
        "inquiries",
        "replies",
        "inquiry_id",
        who="author",
        text="body",
        at="sent_at",
        moments=("created_at",),
        facts=("subject", "channel", "status", "department"),
        first="message",
    ),
}
"""By the name of the exporter."""

CHARTED: Mapping[tuple[str, str], str] = {
    ("usage", "feature_uses"): "feature",
    ("usage", "page_views"): "title",
    ("performance", "api_timings"): "route",
    ("performance", "error_logs"): "error",
    ("interactions", "tickets"): "status",
}
"""The field of a dataset whose most frequent values a chart shows."""
