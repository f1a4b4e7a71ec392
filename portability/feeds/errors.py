"""Why a feed gives no archive: errors of one tree with those of portability/errors.py.

PortabilityError
  FeedMoved
  BadInput
    UnknownFeed  StaleCursor
  WrongState
    FeedEnded
"""

from __future__ import annotations

from portability.api.errors import BadInput, PortabilityError
from portability.errors import WrongState


class UnknownFeed(BadInput):
    """No feed has this id."""

    code = "unknown_feed"
    default_hint = "`portability feeds list` lists the feeds"


class StaleCursor(BadInput):
    """The cursor is not that of the feed's last archive."""

    code = "stale_cursor"
    default_hint = "import the archives after it, or undo those that the feed does not have; or begin a new feed"


class FeedEnded(WrongState):
    """The feed has ended: what it had delivered is no longer known."""

    code = "feed_ended"
    default_hint = "begin a new feed: its first archive contains everything"


class FeedMoved(PortabilityError):
    """Another archive of the feed became ready while this archive was written."""

    code = "feed_moved"
    default_hint = "`portability retry` makes the archive again, after the other archive"
