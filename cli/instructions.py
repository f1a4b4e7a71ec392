"""`portability instructions add | list | withdraw`: a tenant's instructions to export its processor data."""

from __future__ import annotations

import click

from cli.context import Context, beginning, one_of, shared
from cli.permission import AS, permit_any
from cli.unknown_subjects import note_unknown
from portability.api import SubjectKind
from portability.database.engine import reading, writing
from portability.errors import NotAllowed
from portability.plugins import check_exporter_names
from portability.requests import instructions as orders
from portability.requests.policy import Action


@click.group()
def instructions() -> None:
    """Instructions: a tenant's orders to export what the platform processes for it."""


@instructions.command("add")
@click.option("--tenant", required=True, help="The tenant that gives the instruction.")
@click.option("--contact", help="One contact, or member of staff, of the tenant; default: all of them.")
@click.option("--include", help="Exporters, separated by commas; default: all.")
@click.option(
    "--deliver-to",
    "delivery",
    type=one_of(orders.Delivery),
    default=orders.Delivery.SUBJECT,
    show_default=True,
    help="Who gets a contact's archive.",
)
@AS
@beginning
def add(
    context: Context, tenant: str, contact: str | None, include: str | None, delivery: str, claimed: str | None
) -> None:
    """Record an instruction; an identical active one is not recorded again."""
    exporters = None  # all
    if include is not None:
        exporters = check_exporter_names((name.strip() for name in include.split(",")), context.exporters)
    actor = permit_any(context, claimed, Action.INSTRUCT, tenant=tenant)
    with writing(context.engine) as connection:
        identifier = orders.add(
            connection,
            tenant,
            contact_id=contact,
            exporters=exporters,
            actor=str(actor),
            delivery=orders.Delivery(delivery),
        )
    note_unknown(context, SubjectKind.CONTACT if contact else SubjectKind.TENANT, contact or tenant, tenant)
    context.result({"id": identifier}, lambda: context.console.print(identifier))


@instructions.command("list")
@click.option("--tenant", help="Only instructions of this tenant.")
@shared
def list_instructions(context: Context, tenant: str | None) -> None:
    """List instructions, withdrawn instructions too."""
    with reading(context.engine) as connection:
        rows = orders.rows(connection, tenant)
    names = ("id", "tenant", "contact_id", "exporters", "delivery", "created_by")
    times = ("created_at", "withdrawn_at")
    context.listing("Instructions", rows, names, times)


@instructions.command("withdraw")
@click.argument("identifier", metavar="ID")
@AS
@shared
def withdraw(context: Context, identifier: str, claimed: str | None) -> None:
    """Withdraw an instruction; exports that begin later ignore it."""
    # Before the look-up: an actor without the right gets the same answer for each id. So does one of another tenant.
    permit_any(context, claimed, Action.INSTRUCT)
    with writing(context.engine) as connection:
        tenant = orders.get(connection, identifier)["tenant"]
        try:
            actor = permit_any(context, claimed, Action.INSTRUCT, tenant=tenant)
        except NotAllowed:
            raise orders.unknown(identifier) from None
        orders.withdraw(connection, identifier, actor=str(actor))
    context.result({"id": identifier}, lambda: context.console.print(f"{identifier} is withdrawn"))
