"""The platform's companies, with their configuration and rows that reach no person.

Aurora and Borealis have instructed the export of their contacts' data, Cumulus has not, Dorado left 179 days ago.
"""

from __future__ import annotations

from collections.abc import Iterator

from audit.source_rows import SourceRow, chat, days_ago, row, service

AURORA, BOREALIS, CUMULUS, DORADO = "ten_aurora", "ten_borealis", "ten_cumulus", "ten_dorado"
INSTRUCTED = (AURORA, BOREALIS)


def company_rows() -> Iterator[SourceRow]:
    """Make the companies and all their rows that concern no single person."""
    yield row("organisations", AURORA, name="Aurora Telecom")
    yield row("organisations", BOREALIS, name="Borealis Telecom")
    yield row("organisations", CUMULUS, name="Cumulus Travel")
    yield row("organisations", DORADO, name="Dorado Lighting", closed_at=days_ago(179))
    yield row("subscriptions", "sub_dorado", tenant_id=DORADO)
    yield row("invoices", "inv_dorado", tenant_id=DORADO)
    yield row("agents", "age_aurora", tenant_id=AURORA)
    yield row("flows", "flo_aurora", tenant_id=AURORA, agent_id="age_aurora")
    yield row("roles", "rol_aurora", tenant_id=AURORA)
    yield row("integrations", "int_aurora", tenant_id=AURORA)
    yield row("agents", "age_borealis", tenant_id=BOREALIS)
    yield from _rows_of_no_person()


def _rows_of_no_person() -> Iterator[SourceRow]:
    yield row("tickets", "tic_orphan", tenant_id=AURORA, call_id="call_that_was_deleted")
    yield row("activities", "act_orphan", tenant_id=AURORA)
    yield row("companies", "cmp_orphan", tenant_id=AURORA, name="Lonely Lamps")
    yield from chat("orphan", AURORA, visitor_email="visitor@elsewhere.example")
    yield from service("orphan_b", BOREALIS)
