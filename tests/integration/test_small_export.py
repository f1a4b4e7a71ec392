"""What one small export costs the databases: a figure that grows unseen with each convenient query."""

from __future__ import annotations

from pathlib import Path

from servers.databases import Postgres
from servers.s3 import S3Server
from small_exports import small_export

PSEUDONYMS = {"INSERT pseudonym": 2}
"""Two of the datasets name other people. The first also makes the key; no other slice gives numbers."""
FIXED = {
    "SELECT anon_1": 1,  # what waits
    "UPDATE turn": 1,
    "SELECT export": 2,  # locked by the claim, and by the commit
    "UPDATE slice": 3,  # claimed, planned, ended
    "UPDATE export": 3,  # running, a number for a volume, ready
    "SELECT instruction": 1,
    "INSERT ledger": 1,
    "INSERT volume": 1,
    "SELECT signing_key": 2,  # the key that signs, and at the commit that it is not revoked
    "UPDATE volume": 1,
    "UPDATE ledger": 1,
    "INSERT notification": 1,
    "INSERT audit_unchained": 1,
}
"""The statements of every small export: nineteen. What a claim has just planned is not read again."""


def test_a_small_export_executes_nineteen_statements_besides_those_for_its_data(
    tmp_path: Path, pg_server: Postgres, s3_server: S3Server, redis_url: str
) -> None:
    """From claim to ready: three more for pseudonyms, four for own records, 30 on the source for its 18 datasets."""
    with small_export(tmp_path, pg_server, s3_server, redis_url) as running:
        running.count()  # what a process caches
        found = running.count()
    assert sum(FIXED.values()) == 19
    assert found.datasets == 35
    assert found.kinds == FIXED | PSEUDONYMS | {"UPDATE export": 4}
    assert len(found.own) == 4
    assert len(found.source) == 30
    assert sum(statement.startswith("SELECT contacts.email") for statement in found.source) == 1
