"""The rows that the platform has of a tenant, asked from its tables themselves: what an archive must have once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from sqlalchemy import create_engine, text

from chaos.contents import Contents, record_ids

TABLES = {
    "calls/calls": "calls",
    "calls/transcripts": "transcripts",
    "calls/recordings": "recordings",
    "calls/analyses": "call_analyses",
    "chats/conversations": "conversations",
    "chats/messages": "messages",
    "chats/attachments": "attachments",
    "interactions/tickets": "tickets",
    "interactions/ai_agent_actions": "ai_agent_actions",
    "interactions/satisfaction": "satisfaction",
    "interactions/routing_scores": "routing_scores",
    "crm/contacts": "contacts",
    "crm/companies": "companies",
    "crm/deals": "deals",
    "crm/activities": "activities",
}
"""Datasets of which a company that switches gets every row that names it."""
Rows = Mapping[str, frozenset[str]]
"""Ids by dataset."""


def rows_of(url: str, tenant: str) -> Rows:
    """What the platform at `url` has now."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return {
                dataset: frozenset(
                    connection.scalars(text(f"select id from {table} where tenant_id = :tenant"), {"tenant": tenant})  # noqa: S608  # one of the names above
                )
                for dataset, table in TABLES.items()
            }
    finally:
        engine.dispose()


def problems(seen: Contents, there: Rows, varying: Collection[str]) -> Iterator[str]:
    """What is wrong with a company's archive: a row that was there all the time is in it once, others once or not.

    Args:
        seen: the archive.
        there: the rows of the platform, after the export.
        varying: ids of rows that came or went meanwhile.
    """
    found = record_ids(seen)
    wanted = Counter((dataset, row) for dataset, rows in there.items() for row in rows - set(varying))
    if missing := wanted - found:
        yield f"silent: {missing.total()} rows of the platform are not in the archive: {sorted(missing)[:3]}"
    if twice := [thing for thing, number in found.items() if thing[0] in there and number > 1]:
        yield f"doubled: {len(twice)} rows of the platform are in the archive more than once: {twice[:3]}"
    unknown = [
        (dataset, row)
        for dataset, row in found
        if dataset in there and row not in there[dataset] and row not in varying
    ]
    if unknown:
        yield f"silent: {len(unknown)} records are of no row of the platform: {unknown[:3]}"
