"""Regular tasks of the clock: dispatch, mail, webhooks, checks of sources, expiry, erasure, purge and the sweep."""
