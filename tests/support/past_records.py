"""Rows of a long history in the tables beside the exports, with which nothing has to be done; PostgreSQL only.

And the steps that a clock, a receiving service and a worker repeat: none of them may read these rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from factories import World
from sqlalchemy import Boolean, Column, Engine, Integer, LargeBinary, Table

from portability.database import models
from portability.database.engine import JsonType, UtcTime, reading, writing
from portability.feeds import undelivered
from portability.inbox import received, work
from portability.inbox.states import ReceivedState
from portability.journal import shipping
from portability.messages.outbox import Channel, MessageState
from portability.people.directory import NoDirectory
from portability.pulls import copies
from portability.requests import approvals, deadline_events, instructions, message_lists
from portability.retention import attestations, erasures, recalls
from worker import transfer
from worker.clock import expiry, feeds, leaps, message_delivery, notice_delivery, purge, webhook_delivery
from worker.clock.envelopes import Desk
from worker.write import left
from worker.write.withdraw import withdraw_copies, withdraw_discarded, withdraw_given_up

OLD, SOON = "now() - interval '1 month'", "now() + interval '1 month'"
EXPORT, ARCHIVE = "n || 'old'", "n || 'new'"
"""The export of `long_history.FILL` with the same number, and that of `long_history.ARCHIVES`."""
CONSENT, TRANSFER, FEED, LINK = "'aut_' || n", "'trf_' || n", "'fed_' || n", "'lnk_' || n"
RECIPIENT, SENDER = "'rcp_' || n %% 5", "'snd_' || n %% 5"
FEW = frozenset({models.recipient, models.sender, models.source_map, models.colleague})
KEPT = """UPDATE export SET ended_at = received_at - interval '2 days', kept_since = received_at - interval '2 days',
  kept_until = received_at + interval '1 month' WHERE state = 'ready'"""
STANDING = "'aut_' || 500 * (1 + n %% (%(count)s / 500))"
HALF = "CASE WHEN n %% 500 > 0 THEN {} END"

PAST: tuple[tuple[Table, Mapping[str, str]], ...] = (
    (models.attestation, {"export_id": EXPORT}),
    (models.deleted_volume, {"export_id": EXPORT, "attestation_id": "'attestation' || n"}),
    (models.deadline_event, {"export_id": EXPORT, "kind": "(ARRAY['paused', 'resumed'])[1 + n %% 2]"}),
    (models.approval, {"export_id": EXPORT, "state": "'approved'", "decided_at": OLD, "cause": "'switch'"}),
    (
        models.approval,
        {
            "id": "'apa_' || n",
            "export_id": EXPORT,
            "state": "'approved'",
            "decided_at": OLD,
            "cause": "'switch'",
            "basis": "'break_glass'",
        },
    ),
    (models.referral, {"export_id": EXPORT, "state": "'instructed'", "due_at": OLD, "answered_at": OLD}),
    (models.review, {"state": "'theirs'", "number": "1", "decided_at": OLD}),
    (models.recall, {"export_id": EXPORT, "closed_at": OLD}),
    (models.mandate, {"expires_at": OLD, "scope": "'[]'"}),
    (models.instruction, {"withdrawn_at": OLD}),
    (models.legal_hold, {"released_at": OLD}),
    (models.erasure, {"state": "'done'", "ended_at": OLD}),
    (models.ledger, {"export_id": EXPORT, "ordinal": "0"}),
    (models.gap, {"export_id": EXPORT}),
    (models.link, {"id": LINK, "export_id": EXPORT, "transfer_id": TRANSFER, "expires_at": OLD}),
    (models.link_claim, {"link_id": LINK, "volume": "1", "downloaded_at": OLD}),
    (models.code, {"link_id": LINK, "used_at": OLD}),
    (models.session, {"expires_at": SOON}),
    (models.download, {"ended_at": "now()"}),
    (models.idempotency_key, {"export_id": EXPORT, "created_at": "now()"}),
    (models.recipient, {"id": RECIPIENT}),
    (
        models.authorisation,
        {"id": CONSENT, "recipient_id": RECIPIENT, "expires_at": SOON, "revoked_at": HALF.format(OLD)},
    ),
    (
        models.feed,
        {
            "id": FEED,
            "authorisation_id": CONSENT,
            "ended_at": HALF.format(OLD),
            "next_at": SOON,
            "number": "2",
            "every_days": "30",
        },
    ),
    (models.feed, {"id": "'fop_' || n", "authorisation_id": STANDING, "until": SOON, "next_at": SOON, "number": "2"}),
    (models.feed_archive, {"feed_id": FEED, "number": "1", "export_id": EXPORT}),
    (models.feed_archive, {"feed_id": FEED, "number": "2", "export_id": ARCHIVE}),
    (models.feed_part, {"feed_id": FEED, "export_id": ARCHIVE}),
    (models.feed_pseudonym, {"feed_id": FEED}),
    (models.pseudonym, {"export_id": EXPORT}),
    (
        models.transfer,
        {
            "id": TRANSFER,
            "export_id": EXPORT,
            "recipient_id": RECIPIENT,
            "authorisation_id": CONSENT,
            "state": "(ARRAY['delivered', 'expired'])[1 + n %% 2]",
            "expires_at": OLD,
            "ended_at": OLD,
            "volumes": "1",
        },
    ),
    (
        models.transfer,
        {
            "id": "'tra_' || n",
            "export_id": ARCHIVE,
            "recipient_id": RECIPIENT,
            "authorisation_id": CONSENT,
            "state": "CASE WHEN n %% 500 > 0 THEN 'delivered' ELSE 'offered' END",
            "expires_at": f"CASE WHEN n %% 500 > 0 THEN {OLD} ELSE {SOON} END",
        },
    ),
    (models.transfer_copy, {"transfer_id": "'tra_' || 500 * (1 + n %% (%(count)s / 500))", "state": "'stored'"}),
    (models.transfer_receipt, {"transfer_id": TRANSFER, "recipient_id": RECIPIENT}),
    (models.webhook, {"transfer_id": TRANSFER, "state": "'sent'"}),
    (
        models.recipient_notice,
        {"export_id": EXPORT, "transfer_id": TRANSFER, "recipient_id": RECIPIENT, "state": "'acknowledged'"},
    ),
    (models.pull, {"authorisation_id": CONSENT, "export_id": EXPORT, "transfer_id": TRANSFER}),
    (models.pull_token, {"authorisation_id": CONSENT, "expires_at": SOON}),
    (models.pull_request, {"authorisation_id": CONSENT, "recipient_id": RECIPIENT, "expires_at": SOON}),
    (models.sender, {"id": SENDER}),
    (
        models.received_transfer,
        {
            "sender_id": SENDER,
            "state": "(ARRAY['refused', 'declined', 'withdrawn', 'expired'])[1 + n %% 4]",
            "receipt": "'sent'",
            "ended_at": OLD,
        },
    ),
    (models.received_difference, {"received_id": "'received_transfer' || n"}),
    (models.source_map, {}),
    (models.colleague, {"logged_in_at": "now()"}),
)
"""Each table with the columns that say that its rows are over, in the order of their foreign keys."""


def fill_past(engine: Engine, count: int) -> None:
    """Insert `count` rows into each table, beside `fill_history` and `fill_archives` with as many exports."""
    with engine.begin() as connection:
        for table, given in PAST:
            needed = {column.name: _default(column) for column in table.columns if not column.nullable}
            if "expires_at" in table.columns and not table.c.expires_at.nullable:
                needed["expires_at"] = OLD
            values = {**needed, **given}
            values = {name: value for name, value in values.items() if value}
            names, expressions = ", ".join(values), ", ".join(values.values())
            insertion = f"INSERT INTO {table.name} ({names}) SELECT {expressions}"
            rows = 5 if table in FEW else count
            connection.exec_driver_sql(f"{insertion} FROM generate_series(1, %(count)s::int) n", {"count": rows})
        connection.exec_driver_sql(KEPT)
    _analyse(engine)
    left.mark(engine)  # as a clock has done
    undelivered.settle(engine)
    feeds.note_ends(engine)
    _analyse(engine)


def _analyse(engine: Engine) -> None:
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


def _default(column: Column[object]) -> str:
    """Return a value for a column that needs one; empty: the database has its own."""
    if column.server_default:
        return ""
    if column.type is JsonType:
        return "'{}'"
    for kind, value in ((Boolean, "false"), (Integer, "n"), (UtcTime, OLD), (LargeBinary, "'x'")):
        if isinstance(column.type, kind):
            return value
    return f"left('{column.table.name}' || n, {getattr(column.type, 'length', None) or 60})"


def _expire(made: World) -> None:
    expiry.announce(made.engine, made.place.settings)
    expiry.expire(made.engine, made.place.settings)
    expiry.end_offers(made.engine)


def _withdraw(made: World) -> None:
    for withdraw in (withdraw_discarded, withdraw_given_up, withdraw_copies):
        assert withdraw(made.engine, lambda: made.place.storage) == 0


def _purge(made: World) -> None:
    assert purge.purge(made.engine, 24) == 0


def _send(made: World) -> None:
    claims = (work.claim(made.engine, 60), transfer.claim(made.engine, "test", 60))
    assert not any((*claims, webhook_delivery.claim(made.engine), notice_delivery.claim(made.engine)))
    message_delivery.leave_on_page(made.engine)
    desk = Desk(made.engine, made.place.settings, NoDirectory())
    assert message_delivery.deliver(desk, channel=Channel.MAIL) == 0


def _serve_feeds(made: World) -> None:
    assert feeds.note_ends(made.engine) == 0
    assert feeds.end_over(made.engine) + feeds.request_due(made.engine, made.place.settings) == 0
    assert feeds.send_ready(made.engine, made.place.settings) + feeds.give_up(made.engine) == 0
    assert undelivered.settle(made.engine) == 0


def _tidy(made: World) -> None:
    with writing(made.engine) as connection:
        assert work.expire(connection, 30) == 0


def _shorten(made: World) -> None:
    assert leaps.shorten(made.engine, made.place.settings) == 0


def _look(made: World) -> None:
    """What the other steps look for. The metrics read the archives of the last week: they are not here."""
    with reading(made.engine) as connection:
        assert not [*copies.waiting(connection), *deadline_events.running_pauses(connection)]
        assert not [*erasures.begun(connection), *attestations.waiting(connection)]
        assert not [*recalls.rows(connection, open_only=True), *work.quarantined(connection)]
        shipping.waiting(connection)
        shipping.is_behind(connection)
        instructions.standing(connection)
        assert not approvals.break_glass_count(connection)


def _read_received(made: World) -> None:
    with reading(made.engine) as connection:
        _rows, following = received.page(connection, limit=3)
        received.page(connection, after=following, limit=3)
        received.page(connection, state=ReceivedState.FETCHED, limit=3)


def _read_messages(made: World) -> None:
    with reading(made.engine) as connection:
        for state in (MessageState.QUEUED, MessageState.SENT):
            _rows, following = message_lists.page(connection, state, after=None, limit=3)
            message_lists.page(connection, state, after=following, limit=3)


STEPS: tuple[Callable[[World], None], ...] = (
    *(_expire, _withdraw, _purge, _send, _serve_feeds, _tidy, _shorten, _look, _read_received, _read_messages),
)
