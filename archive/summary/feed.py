"""What an archive of a feed is, in a sentence: for README.html and for the viewer."""

from __future__ import annotations

from archive import bag
from archive.parts import ArchiveFeed
from portability.locale import text, values


def sentence(feed: ArchiveFeed, language: str) -> str:
    """Return the sentence in a language."""
    if not feed.before:
        return text(language, "archive.feed.first")
    said = {"number": feed.number, "before": feed.before, "folder": bag.TOMBSTONES}
    if feed.before_at:
        return text(language, "archive.feed.later", day=values.date(language, feed.before_at), **said)
    return text(language, "archive.feed.undated", **said)
