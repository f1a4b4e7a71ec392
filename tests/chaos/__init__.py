"""Chaos: real processes, faults at seeded moments, and an oracle that looks from outside (docs/chaos.md)."""
