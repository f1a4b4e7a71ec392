"""Source to records: an engine for SQL, and the exporters of the reference platform on it, found by entry points."""
