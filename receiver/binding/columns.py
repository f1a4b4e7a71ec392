"""The import table: for every dataset and column of the reference schema whether an archive may set it (ADR 54).

A column that is not listed is not imported. `docs/importing-columns.md` is made from this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from portability.api.tags import SubjectKind

USERS, CONTACTS, ORGANISATIONS = "users", "contacts", "organisations"
REFERENCES: Mapping[str, str] = {
    "tenant_id": ORGANISATIONS,
    "user_id": USERS,
    "staff_id": USERS,
    "assignee_id": USERS,
    "invited_by": USERS,
    "contact_id": CONTACTS,
    "company_id": "companies",
    "agent_id": "agents",
    "call_id": "calls",
    "conversation_id": "conversations",
    "message_id": "messages",
    "reply_to": "messages",
    "deal_id": "deals",
    "session_id": "cookie_sessions",
    "inquiry_id": "inquiries",
}
"""Columns with the id of another row, and its table: the id of the archive becomes the id of the local row."""
PROOFS: Mapping[str, str] = {"email": "email_verified_at", "phone": "phone_verified_at"}
"""Addresses, and the column that says when an address was verified here: such an address is not replaced."""


class ColumnUse(StrEnum):
    """What an import may do with a column."""

    MAPPED = "mapped"
    """An id: replaced by the target's id, or by the id of the local row."""
    VALUE = "value"
    """Imported, and updated by later imports."""
    INITIAL = "initial"
    """Set when the row is made, and never changed later."""
    NEVER = "never"
    """Only with `--allow DATASET.COLUMN`."""


@dataclass(frozen=True, slots=True)
class Forbidden:
    """Why a column is never imported, and the value of new rows instead, if the column needs a value."""

    reason: str
    instead: str | bool | None = None


@dataclass(frozen=True, slots=True)
class TableRules:
    """The rules of one dataset."""

    kinds: frozenset[SubjectKind]
    """The kinds of archives that may bring its records."""
    columns: Mapping[str, ColumnUse]
    forbidden: Mapping[str, Forbidden]
    parent: str | None = None
    """The column that names the row by which a record belongs to a person."""


VERIFIED = Forbidden("a verification is a fact of the platform that made it")
LEGAL_HOLD = Forbidden("a legal hold is a decision of this platform", instead=False)
CLOSED = Forbidden("an archive does not close an account or a company")
ENTITLEMENT = Forbidden("what a company has bought here is not decided by an archive")

_TENANT = frozenset({SubjectKind.TENANT})
_USER = frozenset({SubjectKind.USER})
_BILLING = _TENANT | _USER
_AUTHOR = _USER | {SubjectKind.EMAIL}
_CUSTOMER = _TENANT | {SubjectKind.CONTACT}


def _table(
    kinds: frozenset[SubjectKind],
    mapped: str,
    value: str,
    initial: str = "",
    *,
    parent: str | None = None,
    never: Mapping[str, Forbidden] = MappingProxyType({}),
) -> TableRules:
    uses = dict.fromkeys(f"id {mapped}".split(), ColumnUse.MAPPED)
    uses |= dict.fromkeys(value.split(), ColumnUse.VALUE)
    uses |= dict.fromkeys(f"created_at {initial}".split(), ColumnUse.INITIAL)
    uses |= dict.fromkeys(never, ColumnUse.NEVER)
    return TableRules(kinds, uses, never, parent)


_KEPT = {"legal_hold": LEGAL_HOLD}
_DISABLED = Forbidden("a person of the company reviews it and turns it on", instead=False)
_TICKET = "tenant_id contact_id call_id conversation_id"

RULES: Mapping[str, TableRules] = {
    "account/profile": _table(
        _USER,
        "",
        "full_name company_name job_title locale time_zone updated_at",
        "email phone last_login_at",
        never={
            "email_verified_at": VERIFIED,
            "phone_verified_at": VERIFIED,
            "mfa_enabled": Forbidden("the second factor protects the account here", instead=False),
            "closed_at": CLOSED,
            "legal_hold": LEGAL_HOLD,
        },
    ),
    "account/organisation": _table(
        _TENANT,
        "",
        "name legal_name industry address country updated_at",
        never={
            "plan": ENTITLEMENT,
            "data_region": Forbidden("where data is stored here is not decided by an archive"),
            "closed_at": CLOSED,
            "legal_hold": LEGAL_HOLD,
        },
    ),
    "account/memberships": _table(
        _TENANT,
        "tenant_id user_id invited_by",
        "member_name member_email ended_at",
        never={"role": Forbidden("a role gives rights", instead="member")},
    ),
    "billing/subscription": _table(
        _BILLING,
        "tenant_id user_id",
        "plan seats price currency billing_period started_at current_period_ends_at cancelled_at",
        never={"status": Forbidden(ENTITLEMENT.reason, instead="imported")},
    ),
    "billing/invoices": _table(
        _BILLING,
        "tenant_id user_id",
        "number status billing_name billing_email billing_address tax_number net tax total currency lines issued_on"
        " due_on paid_at",
    ),
    "billing/payment_methods": _table(
        _BILLING,
        "tenant_id user_id",
        "kind brand last_four expires_month expires_year holder_name country removed_at",
        never={"is_default": Forbidden("which payment method is charged is chosen here", instead=False)},
    ),
    "calls/calls": _table(
        _CUSTOMER,
        "tenant_id contact_id agent_id staff_id",
        "direction caller_number called_number handled_by status language outcome started_at answered_at ended_at"
        " duration_seconds consented_to_recording cost currency custom private_note",
        "retained_until",
        never=_KEPT,
    ),
    "calls/transcripts": _table(
        _CUSTOMER,
        "tenant_id call_id staff_id",
        "position speaker starts_seconds ends_seconds text language confidence",
        parent="call_id",
    ),
    "calls/recordings": _table(
        _CUSTOMER, "tenant_id call_id", "media_type bytes seconds channels sha256", parent="call_id"
    ),
    "calls/analyses": _table(
        _CUSTOMER, "tenant_id call_id", "sentiment sentiment_score summary intent topics model", parent="call_id"
    ),
    "chats/conversations": _table(
        _CUSTOMER,
        "tenant_id contact_id agent_id",
        "channel visitor_name visitor_email subject status language page_url custom private_note opened_at closed_at",
        "retained_until",
        never=_KEPT,
    ),
    "chats/messages": _table(
        _CUSTOMER,
        "tenant_id conversation_id staff_id reply_to",
        "position sender text custom sent_at read_at edited_at deleted_at",
        parent="conversation_id",
    ),
    "chats/attachments": _table(
        _CUSTOMER,
        "tenant_id conversation_id message_id",
        "file_name media_type bytes sha256",
        parent="conversation_id",
    ),
    "configuration/agents": _table(
        _TENANT,
        "tenant_id",
        "name kind language voice greeting instructions settings updated_at",
        never={"enabled": _DISABLED},
    ),
    "configuration/flows": _table(_TENANT, "tenant_id agent_id", "name version definition published_at updated_at"),
    "configuration/roles": _table(
        _TENANT, "tenant_id", "name description updated_at", never={"permissions": Forbidden("permissions give rights")}
    ),
    "configuration/integrations": _table(
        _TENANT, "tenant_id", "kind name settings last_synced_at updated_at", never={"enabled": _DISABLED}
    ),
    "cookies/sessions": _table(_USER, "user_id", "ip_address user_agent landing_url started_at last_seen_at ended_at"),
    "cookies/preferences": _table(_USER, "user_id", "category allowed policy_version source decided_at"),
    "cookies/analytics_ids": _table(_USER, "user_id", "provider cookie_name analytics_id first_seen_at last_seen_at"),
    "crm/contacts": _table(
        _CUSTOMER,
        "tenant_id company_id",
        "external_id full_name email phone job_title address born_on language source tags custom private_note"
        " do_not_contact lead_score updated_at deleted_at",
        never={"email_verified_at": VERIFIED, "phone_verified_at": VERIFIED},
    ),
    "crm/companies": _table(
        _TENANT, "tenant_id", "name domain industry employees annual_revenue currency address updated_at"
    ),
    "crm/deals": _table(
        _CUSTOMER,
        "tenant_id contact_id company_id",
        "name stage amount currency probability closes_on closed_at private_note updated_at",
    ),
    "crm/activities": _table(
        _CUSTOMER, "tenant_id contact_id deal_id staff_id", "kind subject body participants occurred_at"
    ),
    "devices/devices": _table(
        _USER,
        "user_id",
        "kind manufacturer model operating_system browser device_identifier screen language first_seen_at last_seen_at",
        never={"trusted": Forbidden("a trusted device needs no second factor")},
    ),
    "devices/ip_addresses": _table(_USER, "user_id", "address country city times_seen first_seen_at last_seen_at"),
    "devices/user_agents": _table(_USER, "user_id", "user_agent times_seen first_seen_at last_seen_at"),
    "inquiries/inquiries": _table(
        _AUTHOR,
        "user_id",
        "email name company_name department channel subject message status closed_at private_note",
    ),
    "inquiries/replies": _table(_AUTHOR, "inquiry_id", "author body sent_at", parent="inquiry_id"),
    "interactions/tickets": _table(
        _CUSTOMER,
        f"{_TICKET} assignee_id",
        "number subject description status priority channel tags private_note opened_at first_replied_at resolved_at",
    ),
    "interactions/ai_agent_actions": _table(
        _CUSTOMER, f"{_TICKET} agent_id", "action input output outcome occurred_at"
    ),
    "interactions/satisfaction": _table(_CUSTOMER, _TICKET, "score best_score comment asked_at answered_at"),
    "interactions/routing_scores": _table(_CUSTOMER, _TICKET, "score queue factors model"),
    "marketing/preferences": _table(_AUTHOR, "user_id", "email channel topic subscribed frequency updated_at"),
    "marketing/consents": _table(
        _AUTHOR, "user_id", "email purpose status text_version wording source ip_address decided_at"
    ),
    "marketing/campaigns": _table(
        _AUTHOR, "user_id", "email campaign channel subject sent_at opened_at clicked_at unsubscribed_at"
    ),
    "performance/api_timings": _table(_USER, "user_id", "method route status milliseconds requested_at"),
    "performance/error_logs": _table(_USER, "user_id", "error message url app_version context occurred_at"),
    "trail/processing_trail": _table(
        _USER, "user_id", "operation purpose data_category actor_role recipient occurred_at"
    ),
    "trail/contact_trail": _table(
        _CUSTOMER, "tenant_id contact_id", "operation purpose data_category actor_role recipient occurred_at"
    ),
    "usage/page_views": _table(_USER, "user_id session_id", "url title referrer seconds viewed_at"),
    "usage/feature_uses": _table(_USER, "user_id tenant_id", "feature action detail used_at"),
    "usage/clicks": _table(_USER, "user_id session_id", "url element x_pixels y_pixels clicked_at"),
    "usage/navigation_paths": _table(_USER, "user_id session_id", "urls entry_url exit_url began_at ended_at"),
}
