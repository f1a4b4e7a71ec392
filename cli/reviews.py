"""`portability reviews list | open | decide`: records of which a person must decide whether they are the subject's."""

from __future__ import annotations

import click

from cli.context import Context, one_of, shared
from cli.permission import AS, permit, permit_any
from portability.api import JSON
from portability.api.times import rfc3339
from portability.database.engine import reading, writing
from portability.requests import exports
from portability.requests import reviews as records
from portability.requests.policy import Action
from portability.requests.reviews import ReviewReason, ReviewState


@click.group()
def reviews() -> None:
    """Reviews: records of which it is unclear whether they are the subject's."""


@reviews.command("list")
@click.argument("identifier", metavar="ID")
@AS
@shared
def list_reviews(context: Context, identifier: str, claimed: str | None) -> None:
    """List the records of an export's subject that await a decision, and those that are decided."""
    with reading(context.engine) as connection:
        permit(context, connection, claimed, Action.SEE_STATE, identifier)
        found = [records.view(row) for row in records.of(connection, exports.get(connection, identifier))]
    shown = ("exporter", "dataset", "record", "at_tenant", "state", "reason", "decided_by")
    document: list[JSON] = [{"export_id": identifier, **one} for one in found]
    context.result(document, lambda: context.table("Reviews", shown, [[one[n] for n in shown] for one in found]))


@reviews.command("open")
@AS
@shared
def list_open(context: Context, claimed: str | None) -> None:
    """List the exports whose subjects have records that await a decision, the longest waiting first."""
    permit_any(context, claimed, Action.LIST_ALL)
    with reading(context.engine) as connection:
        found = records.waiting(connection)
    document: list[JSON] = [{**row, "found_at": rfc3339(row["found_at"])} for row in found]
    shown = ("export_id", "records", "found_at")
    context.result(document, lambda: context.table("Open reviews", shown, [[row[n] for n in shown] for row in found]))


@reviews.command("decide")
@click.argument("identifier", metavar="ID")
@click.argument("dataset", metavar="DATASET")
@click.argument("record", metavar="RECORD")
@click.option("--theirs/--not-theirs", "is_theirs", required=True, default=None, help="Whether it is the subject's.")
@click.option("--reason", required=True, type=one_of(ReviewReason), help="What showed it.")
@click.option("--tenant", help="The tenant that has the record, if several tenants have a record with this id.")
@AS
@shared
def decide(
    context: Context,
    identifier: str,
    dataset: str,
    record: str,
    reason: str,
    tenant: str | None,
    claimed: str | None,
    *,
    is_theirs: bool,
) -> None:
    """Decide whether RECORD of DATASET (exporter/dataset) is the subject's; then run `portability retry --gaps`."""
    decision = ReviewState.THEIRS if is_theirs else ReviewState.NOT_THEIRS
    with writing(context.engine) as connection:
        actor = permit(context, connection, claimed, Action.DECIDE_REVIEW, identifier)
        review_id = records.find(connection, exports.get(connection, identifier), dataset, record, tenant)
        records.decide(connection, identifier, review_id, decision, reason=reason, actor=actor)
    text = f"{dataset} {record}: {decision}; `portability retry --gaps {identifier}` applies it"
    context.result({"id": review_id, "decision": decision}, lambda: context.console.print(text))
