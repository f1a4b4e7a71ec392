"""Proofs that others can verify: signing keys, signatures, and the audit log."""
