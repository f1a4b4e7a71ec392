"""The end of a volume: the closing document, the commit, and the handling of failures."""
