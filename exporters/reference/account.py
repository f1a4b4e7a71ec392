"""Account holders: their profile, company and memberships; finds their e-mail address and phone number."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from exporters.reference import row_filters, schema
from exporters.reference.fields import CREATED_AT, ID, TENANT_ID, UPDATED_AT, USER_ID
from exporters.reference.relations import ADDRESS_USERS
from exporters.reference.retention import ACCOUNT, AccountClosed, CompanyClosed
from exporters.sql import sole_addresses
from exporters.sql.belonging import shared, sole
from exporters.sql.exporter import SqlExporter
from exporters.sql.identifiers import own
from exporters.sql.source import Named, table_source
from portability.api import ADDRESS_KINDS, Exporter, Identity, Person, Provenance, Role, Sources, Subject, SubjectKind

HELD = "True if the data of the account is kept longer than 90 days after its end for a legal reason."

PROFILE = table_source(
    schema.users,
    "profile",
    "Account profile",
    "What you entered when you registered, and the state of your account. We also store what protects the account "
    "(a hash of your password, a seed for second factors, recovery codes); it is not exported, for your safety.",
    ID,
    Named("email", "The e-mail address that you log in with."),
    Named(
        "email_verified_at",
        "When you verified the address, in UTC; null if never.",
        Provenance.OBSERVED,
    ),
    Named("phone", "Your phone number in the international form of E.164, such as +6281234567890."),
    Named(
        "phone_verified_at",
        "When you verified the number, in UTC; null if never.",
        Provenance.OBSERVED,
    ),
    Named("full_name", "Your name, as you entered it."),
    Named("company_name", "The name of your company, as you entered it."),
    Named("job_title", "Your position, as you entered it."),
    Named("locale", "Language and region of the platform's pages for you, as a tag of BCP 47, such as id-ID."),
    Named("time_zone", "Time zone of the platform's pages for you, by its IANA name, such as Asia/Jakarta."),
    Named("mfa_enabled", "True if your login needs a second factor."),
    Named("created_at", "When you registered, in UTC.", Provenance.OBSERVED),
    Named("updated_at", "When the profile was last changed, in UTC; null if never.", Provenance.OBSERVED),
    Named("last_login_at", "When you last logged in, in UTC; null if never.", Provenance.OBSERVED),
    Named("closed_at", "When the account was closed, in UTC; null while it is open.", Provenance.OBSERVED),
    Named("legal_hold", HELD, Provenance.OBSERVED),
    provenance=Provenance.PROVIDED,
    role=Role.CONTROLLER,
    kinds=row_filters.USERS,
    where=row_filters.rows("account/profile"),
    retention=ACCOUNT,
)

ORGANISATION = table_source(
    schema.organisations,
    "organisation",
    "Company",
    "The company that uses the platform: for a person, each company of which they are a member today.",
    Named("id", "Identifier of the company; it does not change. Other datasets call it `tenant_id`."),
    Named("name", "Name of the company as the platform shows it."),
    Named("legal_name", "Name of the company in its register."),
    Named("industry", "Industry of the company, as entered at registration."),
    Named("address", "Postal address of the company."),
    Named("country", "Country of the company, as a two-letter code of ISO 3166-1."),
    Named("plan", "The plan of the company: free, team, business or enterprise."),
    Named("data_region", "Region of the world where the company's data is stored, such as ap-southeast-3."),
    CREATED_AT,
    UPDATED_AT,
    Named("closed_at", "When the company left the platform, in UTC; null while it is a customer."),
    Named("legal_hold", HELD),
    provenance=Provenance.PROVIDED,
    role=Role.CONTROLLER,
    kinds=row_filters.USERS_AND_TENANTS,
    where=row_filters.rows("account/organisation"),
    retention=CompanyClosed(schema.organisations.c.id),
)

MEMBERSHIPS = table_source(
    schema.memberships,
    "memberships",
    "Memberships",
    "Which account holders belong to which company, and in what role.",
    ID,
    TENANT_ID,
    USER_ID,
    Named("role", "Name of the member's role, which decides what they may do: see configuration/roles."),
    Named(
        "invited_by",
        "The account holder of the company who sent the invitation, as `user_id` here; null if not set.",
        person=Person.STAFF,
    ),
    Named(
        "member_name",
        "Name of the member, as in the account.",
        value=func.coalesce(schema.users.c.full_name, schema.memberships.c.member_name),
    ),
    Named(
        "member_email",
        "E-mail address of the member, as in the account.",
        value=func.coalesce(schema.users.c.email, schema.memberships.c.member_email),
    ),
    Named("created_at", "When the membership began, in UTC."),
    Named("ended_at", "When the membership ended, in UTC; null while it lasts."),
    provenance=Provenance.PROVIDED,
    role=Role.CONTROLLER,
    kinds=row_filters.USERS_AND_TENANTS,
    origin=schema.memberships.outerjoin(schema.users, schema.memberships.c.user_id == schema.users.c.id),
    where=row_filters.rows("account/memberships"),
    retention=AccountClosed(schema.memberships.c.tenant_id),
)

FINDS = frozenset({"email", "phone", "user_id", *map(sole, ADDRESS_KINDS), *map(shared, ADDRESS_KINDS)})
REVIEWED = {shared(kind): "account/profile" for kind in ADDRESS_KINDS}
"""A review of a shared address is about the person as a whole; its record is the kind of the address."""


def exporter(sources: Sources) -> Exporter:
    """Make the exporter for the policy's row "name, email, company, phone"."""
    tables = (PROFILE, ORGANISATION, MEMBERSHIPS)
    by = row_filters.selects_by("account")
    return SqlExporter(sources, *tables, selects_by=by, finder=addresses, finds=FINDS, knower=knows, reviewed=REVIEWED)


def knows(connection: Connection, subject: Subject) -> bool | None:
    """Return whether there is an account with the requested id, open or closed, or data under the requested address.

    None for a contact.
    """
    if subject.kind in ADDRESS_KINDS:
        return sole_addresses.is_known(connection, ADDRESS_USERS, subject)
    if subject.kind is SubjectKind.CONTACT:
        return None
    table = schema.users if subject.kind is SubjectKind.USER else schema.organisations
    query = select(table.c.id).where(table.c.id == subject.identities[0].value)
    return connection.scalar(query) is not None


def addresses(connection: Connection, subject: Subject) -> Iterator[Identity]:
    """Yield a user's e-mail address and phone number, verified if the platform has verified them.

    For an address, the account that has it, or the address in each of its notations.
    """
    yield from sole_addresses.identities(connection, "account", ADDRESS_USERS, subject)
    users = schema.users.c
    known = own(subject, "user_id")
    if subject.kind is not SubjectKind.USER or not known:
        return
    columns = (users.email, users.email_verified_at, users.phone, users.phone_verified_at)
    for row in connection.execute(select(*columns).where(users.id.in_(known)).order_by(users.id)):
        for kind, value, verified_at in (("email", row[0], row[1]), ("phone", row[2], row[3])):
            if value:
                yield Identity("account", kind, value, verified=verified_at is not None)
