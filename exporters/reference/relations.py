"""Which rows of the reference platform belong to whom: one belonging for each dataset (docs/source-schema.md)."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Table

from exporters.reference import maps, schema
from exporters.sql.belonging import (
    AccountBook,
    AddressBook,
    AddressColumns,
    Belonging,
    ByAddress,
    ByColumn,
    ByMember,
    ByParent,
    BySoleAddress,
    Relations,
    Within,
)
from exporters.sql.sole_addresses import AddressUsers

CONTACT = ("contact_id", "duplicate_contact_id")
"""Kinds of identities of a contact's record, and of further records of the same person at the same tenant."""
STAFF = ("staff_id",)
"""The kind of identity of a member of a tenant's staff: the account's id, valid at that tenant."""
TENANT = "tenant_id"

BOOK = AddressBook(
    schema.contacts,
    {
        "email": AddressColumns("email", "email_verified_at"),
        "phone": AddressColumns("phone", "phone_verified_at"),
    },
    until="deleted_at",
    identity="contact_id",
    duplicate="duplicate_contact_id",
    name="full_name",
)

_ACCOUNTS = AccountBook(
    schema.users,
    {
        "email": AddressColumns("email", "email_verified_at"),
        "phone": AddressColumns("phone", "phone_verified_at"),
    },
)
_OF_CALL = ByParent("call_id", "calls/calls")
_PART_OF_CALL = ByParent("call_id", "calls/calls", is_part=True)
_PART_OF_CHAT = ByParent("conversation_id", "chats/conversations", is_part=True)
_OWN_CONTACT = ByColumn("contact_id", CONTACT)
_OUTBOUND = ("direction", "outbound")
_CALL_TIME = ("started_at", "created_at")


def _account(table: Table, *, tenant: str | None = None, column: str = "user_id") -> Belonging:
    """Declare rows of an account, and of a tenant if the table names it."""
    return Belonging(table, tenant, (ByColumn(column, ("user_id",), Within.PLATFORM),))


def _author(table: Table, name: str | None = None) -> Belonging:
    """Declare rows of an account, and rows without account under a proved e-mail address, of an account or of no one.

    `name` is the column with the name that the author gave.
    """
    by_email = ByColumn("email", ("email",), Within.PLATFORM, fold=True, only_if_null="user_id")
    by_sole_email = BySoleAddress("email", "email", "user_id", name)
    return Belonging(table, None, (ByColumn("user_id", ("user_id",), Within.PLATFORM), by_email, by_sole_email))


BELONGINGS: Mapping[str, Belonging] = {
    **maps.belongings(),
    "account/profile": _account(schema.users, column="id"),
    "account/organisation": Belonging(
        schema.organisations, "id", (ByParent("id", "account/memberships", key=TENANT, only_if_null="ended_at"),)
    ),
    "account/memberships": _account(schema.memberships, tenant=TENANT),
    "inquiries/inquiries": _author(schema.inquiries, "name"),
    "inquiries/replies": Belonging(schema.inquiry_replies, None, (ByParent("inquiry_id", "inquiries/inquiries"),)),
    "marketing/preferences": _author(schema.marketing_preferences),
    "marketing/consents": _author(schema.consents),
    "marketing/campaigns": _author(schema.campaigns_received),
    "calls/calls": Belonging(
        schema.calls,
        TENANT,
        (
            _OWN_CONTACT,
            ByAddress("caller_number", "phone", "contact_id", _CALL_TIME, "call_id", unless=_OUTBOUND),
            ByAddress("called_number", "phone", "contact_id", _CALL_TIME, "call_id", when=_OUTBOUND),
        ),
        (ByColumn("staff_id", STAFF),),
    ),
    "calls/transcripts": Belonging(
        schema.transcripts, TENANT, (_PART_OF_CALL,), (ByColumn("staff_id", STAFF), _OF_CALL)
    ),
    "calls/recordings": Belonging(schema.recordings, TENANT, (_PART_OF_CALL,), (_OF_CALL,)),
    "calls/analyses": Belonging(schema.call_analyses, TENANT, (_PART_OF_CALL,), (_OF_CALL,)),
    "chats/conversations": Belonging(
        schema.conversations,
        TENANT,
        (
            _OWN_CONTACT,
            ByAddress("visitor_email", "email", "contact_id", ("opened_at", "created_at"), "conversation_id"),
        ),
    ),
    "chats/messages": Belonging(schema.messages, TENANT, (_PART_OF_CHAT,), (ByColumn("staff_id", STAFF),)),
    "chats/attachments": Belonging(schema.attachments, TENANT, (_PART_OF_CHAT,)),
    "crm/contacts": Belonging(schema.contacts, TENANT, (ByColumn("id", CONTACT),)),
    "crm/companies": Belonging(
        schema.companies,
        TENANT,
        (ByParent("id", "crm/contacts", key="company_id"), ByParent("id", "crm/deals", key="company_id")),
    ),
    "crm/deals": Belonging(schema.deals, TENANT, (_OWN_CONTACT,)),
    "crm/activities": Belonging(
        schema.activities,
        TENANT,
        (
            _OWN_CONTACT,
            ByParent("deal_id", "crm/deals"),
            ByMember("participants", ("contact_id", "email", "phone"), ("occurred_at", "created_at"), "activity_id"),
        ),
        (ByColumn("staff_id", STAFF),),
    ),
}

RELATIONS = Relations(BELONGINGS, BOOK)
ADDRESS_USERS = AddressUsers(_ACCOUNTS, BELONGINGS.values())
