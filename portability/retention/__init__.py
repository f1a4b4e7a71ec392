"""How long data is kept: erasures, legal holds, recalls, and attestations of what was deleted."""
