"""An outbox table for the reference platform on PostgreSQL, with triggers, and maps that state changes by it.

docs/feeds.md shows the same triggers: a call that moves to another person takes its parts and tickets with it.
"""

from __future__ import annotations

import pytest
from sqlalchemy import Column, Engine, MetaData, Table, Text, text

from exporters.reference import declared, maps
from exporters.sql.changes import Xid8
from exporters.sql.mapped.change_forms import ChangesForm, OutboxForm
from exporters.sql.mapped.forms import SqlSourceForm

OUTBOX = Table(
    "outbox",
    MetaData(),
    Column("table_name", Text, nullable=False),
    Column("row_key", Text, nullable=False),
    Column("transaction", Xid8, nullable=False, server_default=text("pg_current_xact_id()"), index=True),
)
COVERED = {"calls": ("calls", "transcripts"), "interactions": ("tickets",)}
"""By exporter, the datasets whose changes are stated; all others are compared by hashes."""
TRIGGERS = """
create function note_change() returns trigger language plpgsql as $$
begin
  insert into outbox (table_name, row_key)
    values (tg_table_name, case when tg_op = 'DELETE' then old.id else new.id end);
  return null;
end $$;
create function note_children_of_call() returns trigger language plpgsql as $$
declare call text := case when tg_op = 'DELETE' then old.id else new.id end;
begin
  insert into outbox (table_name, row_key)
    select 'transcripts', id from transcripts where call_id = call
    union all select 'tickets', id from tickets where call_id = call;
  return null;
end $$;
create trigger noted after insert or update or delete on calls for each row execute function note_change();
create trigger noted after insert or update or delete on transcripts for each row execute function note_change();
create trigger noted after insert or update or delete on tickets for each row execute function note_change();
create trigger noted_children after insert or update or delete on calls
  for each row execute function note_children_of_call();
"""


def prepare(engine: Engine, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """Let the platform state its changes, if the mode is `outbox`."""
    if mode == "outbox":
        add_outbox(engine)
        state_changes(monkeypatch)


def add_outbox(engine: Engine) -> None:
    """Create the table and its triggers, with an entry of an earlier change."""
    OUTBOX.create(engine)
    with engine.begin() as connection:
        connection.execute(OUTBOX.insert().values(table_name="calls", row_key="earlier"))
        connection.exec_driver_sql(TRIGGERS)


def state_changes(monkeypatch: pytest.MonkeyPatch, *, reconcile_days: int = 7) -> None:
    """Let the maps of the reference platform state changes by the outbox table."""

    def form_of(name: str) -> SqlSourceForm:
        form = maps.form_of(name)
        if name not in COVERED:
            return form
        outbox = OutboxForm(table=OUTBOX.name, transaction="transaction")
        stated = ChangesForm(datasets=COVERED[name], outbox=outbox, reconcile_days=reconcile_days)
        return form.model_copy(update={"changes": stated})

    monkeypatch.setattr(declared, "form_of", form_of)
    monkeypatch.setattr(declared, "TABLES", {**maps.TABLES, OUTBOX.name: OUTBOX})
