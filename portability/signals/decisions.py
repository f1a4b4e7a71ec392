"""Signals of what waits for the decision of a person: how much, and how long."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Connection, func, literal, select

from portability.database import models
from portability.database.engine import now
from portability.inbox.states import UNDECIDED
from portability.requests import approvals
from portability.requests.referrals import ReferralState
from portability.requests.reviews import ReviewState
from portability.requests.states import TransferState
from portability.signals.work import age_seconds

REFERRAL, REVIEW = models.referral, models.review
TRANSFER, RECEIVED = models.transfer, models.received_transfer


def collect(connection: Connection) -> Sequence[Metric]:
    """Return the signals of reviews, transfers and received data without a decision, and of referrals that are late."""
    # As literals: parameters would hide the partial indexes from the planner.
    is_referred, is_reviewed = (
        table.c.state == literal(str(state), literal_execute=True)
        for table, state in ((REFERRAL, ReferralState.OPEN), (REVIEW, ReviewState.OPEN))
    )
    overdue = select(func.count()).select_from(REFERRAL).where(is_referred, REFERRAL.c.due_at < now())
    waiting = GaugeMetricFamily(
        "portability_oldest_open_decision_age_seconds",
        "Seconds for which the oldest of these has waited for an officer, of answered requests; 0 if none waits",
        labels=("about",),
    )
    for about, since, is_open in (
        ("record", REVIEW.c.found_at, is_reviewed),
        ("transfer", TRANSFER.c.created_at, TRANSFER.c.state == TransferState.HELD),
        ("received", RECEIVED.c.fetched_at, RECEIVED.c.state.in_(UNDECIDED)),
    ):
        waiting.add_metric((about,), age_seconds(connection, since, is_open))
    return (
        GaugeMetricFamily(
            "portability_break_glass_approvals",
            "Exports that one person approved alone in the last week",
            value=approvals.break_glass_count(connection),
        ),
        GaugeMetricFamily(
            "portability_reviews_open",
            "Records that an officer has to review",
            value=connection.execute(select(func.count()).select_from(REVIEW).where(is_reviewed)).scalar_one(),
        ),
        GaugeMetricFamily(
            "portability_referrals_overdue",
            "Referrals that an informed tenant has not answered by the due date",
            value=connection.execute(overdue).scalar_one(),
        ),
        waiting,
    )
