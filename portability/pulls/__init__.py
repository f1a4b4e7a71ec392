"""Pulls: a provider asks a person for a copy, and fetches it by OAuth with the person's consent (docs/pull.md)."""
