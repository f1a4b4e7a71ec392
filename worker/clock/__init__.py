"""Regular tasks of the clock: dispatch, mail, webhooks, expiry, erasure, purge and the sweep."""
