"""Slices: what a worker claims is a slice of an export; leases, fences and positions move there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.db import JsonType, UtcTime

revision = "0003"
down_revision = "0002"

OPEN = "('queued', 'running')"
MOVED = ("progress", "owner", "fence", "lease_until", "claimed_at", "attempts", "not_before", "woken_at", "created_at")


def upgrade() -> None:
    op.create_table(
        "slice",
        sa.Column("export_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("large", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("readings", JsonType, nullable=True),
        sa.Column("position", JsonType, nullable=True),
        sa.Column("progress", JsonType, nullable=True),
        sa.Column("owner", sa.String(length=200), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", UtcTime(), nullable=True),
        sa.Column("claimed_at", UtcTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", UtcTime(), nullable=True),
        sa.Column("woken_at", UtcTime(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["export_id"], ["export.id"], name=op.f("slice_export_id_fkey")),
        sa.PrimaryKeyConstraint("export_id", "number", name=op.f("slice_pkey")),
    )
    op.create_index(op.f("slice_tenant_state_idx"), "slice", ["tenant", "state"], unique=False)
    op.create_index(op.f("slice_lease_until_idx"), "slice", ["lease_until"], unique=False)
    op.create_table(
        "turn",
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("served_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", name=op.f("turn_pkey")),
    )
    op.add_column("export", sa.Column("open_slices", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("volume", sa.Column("slice", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("volume", sa.Column("revision", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("ledger", sa.Column("open_slices", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("gap", sa.Column("resume", JsonType, nullable=True))
    _move_rows()
    op.drop_index(op.f("export_state_claimed_at_idx"), table_name="export")
    for name in (*(name for name in MOVED if name != "created_at"), "position"):
        op.drop_column("export", name)
    op.create_index(op.f("export_state_idx"), "export", ["state"], unique=False)


def _move_rows() -> None:
    """An export in work goes on as one slice, from where it stood: its ledger lines are what it reads."""
    connection = op.get_bind()
    connection.execute(sa.text("UPDATE ledger SET open_slices = 1 WHERE state = 'pending'"))
    names = ", ".join(MOVED)
    connection.execute(
        sa.text(
            f"INSERT INTO slice (export_id, number, tenant, state, large, version, readings, position, {names})"  # noqa: S608  # constants
            f" SELECT id, 0, coalesce(tenant, ''), CASE WHEN state IN {OPEN} THEN 'open' ELSE 'done' END, false, 1,"
            f" NULL, position, {names} FROM export"
        )
    )
    connection.execute(sa.text("INSERT INTO turn (tenant) SELECT DISTINCT tenant FROM slice"))
    slices = sa.table("slice", sa.column("export_id"), sa.column("readings", JsonType), sa.column("position", JsonType))
    lines = connection.execute(
        sa.text(
            "SELECT ledger.export_id, ledger.ordinal FROM ledger JOIN slice ON slice.export_id = ledger.export_id"
            " ORDER BY ledger.export_id, ledger.ordinal"
        )
    ).all()
    readings: dict[str, list[dict[str, int]]] = {}
    for export_id, ordinal in lines:
        readings.setdefault(export_id, []).append({"ordinal": ordinal})
    for export_id, read in readings.items():
        connection.execute(sa.update(slices).where(slices.c.export_id == export_id).values(readings=read))
    for export_id, frozen in connection.execute(sa.select(slices.c.export_id, slices.c.position)).all():
        if frozen is not None:
            renamed = {("reading" if name == "ordinal" else name): value for name, value in frozen.items()}
            connection.execute(sa.update(slices).where(slices.c.export_id == export_id).values(position=renamed))
