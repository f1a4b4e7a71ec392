"""Indexes of the hot statements: what is asked at each request, claim and round of the clock reads no ended export.

Almost all rows of a deployment are ended exports. Each index has only the rows of a state in which something can
happen, or the order in which a page is read, so the statements cost the same however many exports have ended
(docs/capacity.md). tests/contract/test_hot_statements.py has the statements.
"""

from __future__ import annotations

from sqlalchemy import Index, TextClause, func, text

from portability.database.models.feeds import feed, feed_archive
from portability.database.models.inbox import received_transfer
from portability.database.models.keeping import legal_hold
from portability.database.models.people import (
    approval,
    audit_event,
    code,
    idempotency_key,
    link,
    mandate,
    recall,
    referral,
    review,
)
from portability.database.models.transfers import authorisation, recipient_notice, transfer, transfer_copy
from portability.database.models.work import export, gap, instruction, slice, volume  # noqa: A004  # the project's noun, as in models/work.py

DISCARDED = "state IN ('cancelled', 'denied', 'expired', 'failed', 'recalled')"
UNANSWERED = "state IN ('queued', 'review', 'running', 'closing', 'failed') AND erased_at IS NULL"


def _partial(name: str, *columns: object, where: str) -> Index:
    condition: TextClause = text(where)
    return Index(name, *columns, postgresql_where=condition, sqlite_where=condition)  # type: ignore[arg-type]  # columns


INDEXES = (
    # The next slice of a tenant, of those that yield and of the others (worker/claim/claims.py).
    _partial(
        "slice_next_idx",
        slice.c.tenant,
        func.coalesce(slice.c.claimed_at, slice.c.created_at),
        where="state = 'open' AND NOT (large OR further)",
    ).ddl_if(dialect="postgresql"),
    _partial(
        "slice_next_yielding_idx",
        slice.c.tenant,
        func.coalesce(slice.c.claimed_at, slice.c.created_at),
        where="state = 'open' AND (large OR further)",
    ).ddl_if(dialect="postgresql"),
    # The volumes that a tenant is writing now (worker/claim/claims.py).
    _partial("slice_leased_idx", slice.c.tenant, where="lease_until IS NOT NULL"),
    # Copies of a transfer that a worker has begun and not stored (worker/transfer.py).
    _partial("transfer_copy_writing_idx", transfer_copy.c.transfer_id, where="state = 'writing'"),
    # Volumes that are not stored, of which some belong to revisions that were given up (worker/write/withdraw.py).
    _partial("volume_writing_idx", volume.c.export_id, where="state = 'writing'"),
    # Slices to wake workers for, the oldest first (worker/clock/dispatch.py).
    _partial("slice_open_idx", slice.c.created_at, where="state = 'open'"),
    # Requests without an answer: the most urgent first, and the newest first (portability/requests/desk_queue.py).
    _partial("export_unanswered_idx", export.c.due_at, export.c.id, where=UNANSWERED),
    _partial("export_unanswered_newest_idx", export.c.created_at, export.c.id, where=UNANSWERED),
    # Archives that end soon, and records whose time is over (worker/clock/expiry.py, purge.py).
    _partial("export_ready_idx", export.c.ended_at, where="state = 'ready'"),
    _partial("export_discarded_idx", export.c.ended_at, where=DISCARDED),
    # Ended exports and transfers of which storage may have something (worker/write/left.py).
    _partial("export_left_idx", export.c.id, where=f"{DISCARDED} AND (empty_since IS NULL OR empty_since <> ended_at)"),
    _partial("transfer_left_idx", transfer.c.state, transfer.c.expires_at, where="NOT emptied"),
    # Archives by the recorded end (worker/clock/expiry.py).
    _partial("export_kept_idx", export.c.kept_until, where="state = 'ready'"),
    # Whether a provider has an archive (portability/feeds/undelivered.py, portability/messages/recipient_notices.py).
    Index("feed_archive_export_id_idx", feed_archive.c.export_id),
    # Archives of feeds that their recipients may lack (portability/feeds/undelivered.py).
    _partial("feed_archive_unsettled_idx", feed_archive.c.feed_id, feed_archive.c.number, where="NOT settled"),
    _partial("link_transfer_id_idx", link.c.transfer_id, where="transfer_id IS NOT NULL"),
    # Pages of the received transfers, the newest first.
    Index("received_transfer_newest_idx", received_transfer.c.created_at, received_transfer.c.id),
    # What goes on, or waits for an answer: feeds, receipts, reviews, referrals, breach records.
    _partial("feed_open_idx", feed.c.until, where="ended_at IS NULL"),
    # Feeds whose consent ends, and those of which the clock does not know when (worker/clock/feeds.py).
    _partial(
        "feed_consent_ends_idx", feed.c.consent_ends_at, where="ended_at IS NULL AND authorisation_id IS NOT NULL"
    ),
    _partial("received_transfer_receipt_idx", received_transfer.c.created_at, where="receipt = 'queued'"),
    _partial("review_open_idx", review.c.id, where="state = 'open'"),
    _partial("referral_open_idx", referral.c.due_at, where="state = 'open'"),
    _partial("approval_alone_idx", approval.c.decided_at, where="basis = 'break_glass'"),
    _partial("recall_open_idx", recall.c.opened_at, where="closed_at IS NULL"),
    # Records whose time is over, the oldest first (worker/clock/purge.py).
    _partial("code_address_idx", code.c.created_at, where="subject_kind IS NOT NULL"),
    Index("mandate_ended_idx", mandate.c.ended_at),
    Index("mandate_expired_idx", mandate.c.expires_at),
    Index("instruction_withdrawn_idx", instruction.c.withdrawn_at),
    Index("authorisation_revoked_idx", authorisation.c.revoked_at),
    Index("authorisation_expired_idx", authorisation.c.expires_at),
    Index("authorisation_used_idx", authorisation.c.used_at),
    Index("feed_ended_idx", feed.c.ended_at),
    Index("received_transfer_ended_idx", received_transfer.c.ended_at),
    Index("legal_hold_released_idx", legal_hold.c.released_at),
    Index("legal_hold_until_idx", legal_hold.c.until),
    # What an erasure, a purge, a notice or a page looks up (portability/retention/named_rows.py, anonymise.py),
    # and the newest gaps of a source (portability/coverage/state.py).
    Index("gap_newest_idx", gap.c.exporter, gap.c.id),
    Index("export_requested_by_idx", export.c.requested_by),
    Index("approval_asked_by_idx", approval.c.asked_by),
    Index("instruction_contact_id_idx", instruction.c.contact_id),
    Index("idempotency_key_export_id_idx", idempotency_key.c.export_id),
    _partial("received_transfer_import_idx", received_transfer.c.import_id, where="import_id IS NOT NULL"),
    # Pages of the notices to recipients, the oldest first.
    Index("recipient_notice_oldest_idx", recipient_notice.c.created_at, recipient_notice.c.id),
    # Pages of the request log, the newest first.
    Index("export_newest_idx", export.c.created_at, export.c.id),
    Index("export_newest_of_tenant_idx", export.c.tenant, export.c.created_at, export.c.id),
    # What a member of staff works on, and the search by a beginning or a word (portability/requests/desk_queue.py).
    _partial("export_assignee_idx", export.c.assignee, export.c.due_at, where="assignee IS NOT NULL"),
    Index("export_id_begin_idx", export.c.id, postgresql_ops={"id": "varchar_pattern_ops"}),
    Index("export_subject_ref_begin_idx", export.c.subject_ref, postgresql_ops={"subject_ref": "varchar_pattern_ops"}),
    Index(
        "export_reason_words_idx", text("to_tsvector('simple', reason)"), _table=export, postgresql_using="gin"
    ).ddl_if(dialect="postgresql"),
    # Events of a person, of an action and of a day (portability/trust/audit_search.py).
    Index("audit_event_actor_idx", audit_event.c.actor, audit_event.c.id),
    Index("audit_event_action_idx", audit_event.c.action, audit_event.c.id),
    Index("audit_event_at_idx", audit_event.c.at),
)
