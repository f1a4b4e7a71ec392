"""`portability identities`: the identities of a person by source, with conflicts and duplicates."""

from __future__ import annotations

import click

from cli.context import Context, shared
from cli.permission import AS, permit_any
from cli.source_waits import call_repeated
from portability.database.engine import writing
from portability.people import subjects
from portability.people.identity_graph import IdentityGraph, graph
from portability.requests import identity_reads
from portability.requests.policy import Action
from portability.source_file import OWN_RECORDS
from portability.sources import trusted
from worker.read import bounded_calls


@click.command()
@click.argument("subject", metavar="SUBJECT")
@click.option("--tenant", help="The contact's tenant.")
@AS
@shared
def identities(context: Context, subject: str, tenant: str | None, claimed: str | None) -> None:
    """List the identities of SUBJECT (user:ID, contact:ID ...) by source, how each was found, and conflicts.

    Every source is asked, and the audit log records it. With --json the values are left out.
    """
    actor = permit_any(context, claimed, Action.SEE_IDENTITIES)
    kind, identifier, at_tenant = subjects.parse(subject, tenant)
    exporters = {name: exporter for name, exporter in context.exporters.items() if name != OWN_RECORDS}
    with writing(context.engine) as connection:
        person, decided = identity_reads.begin(connection, kind, identifier, at_tenant, actor=str(actor))
    try:
        found = graph(
            person,
            exporters,
            lambda name, call: call_repeated(context, f"{name}: identities()", call),
            decided,
            trusted(context.settings, context.exporters),
        )
    finally:
        bounded_calls.dismiss()
    context.result({"subject": person.ref, **found.view()}, lambda: _print(context, found, list(exporters)))


def _print(context: Context, found: IdentityGraph, names: list[str]) -> None:
    columns = ("number", "source", "kind", "value", "tenant", "verified by", "found through", "accepted by")
    rows = [
        (
            *(node.number, node.source, node.identity.kind, node.identity.value, node.identity.tenant, node.proof),
            _numbers(node.through),
            "all" if list(node.accepted_by) == names else ", ".join(node.accepted_by),
        )
        for node in found.nodes
    ]
    context.table("Identities", columns, rows)
    if found.conflicts:
        conflicts = [(one.code, _numbers(one.numbers), ", ".join(one.sources)) for one in found.conflicts]
        context.table("Conflicts", ("code", "identities", "sources"), conflicts)
    if found.duplicates:
        duplicates = [(one.source, one.kind, _numbers(one.numbers)) for one in found.duplicates]
        context.table("Duplicates", ("source", "kind", "identities"), duplicates)
    if found.unresolved:
        unknown = [(name, why.reason) for name, why in found.unresolved.items()]
        context.table("Sources without an answer", ("source", "reason"), unknown)


def _numbers(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))
