"""Feeds: archives of one subject that follow each other, of which each contains what has changed since the last."""
