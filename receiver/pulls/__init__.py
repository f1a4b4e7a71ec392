"""Pulls: asks people at another provider for their data by OAuth, and fetches what they allow (docs/pull.md)."""
