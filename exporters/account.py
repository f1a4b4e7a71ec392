"""Account holders: their profile, their company, their memberships; finds their e-mail address and phone number."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, select

from exporters import schema, walls
from exporters.fields import CREATED_AT, ID, TENANT_ID, UPDATED_AT, USER_ID
from exporters.retention import ACCOUNT, AccountData, CompanyItself
from exporters.source import Named, source
from exporters.sql import SqlExporter
from portability.api import Exporter, Identity, Person, Provenance, Role, Sources, Subject, SubjectKind

HELD = "True if what belongs to the account is kept longer than 90 days after its end for a legal reason."

PROFILE = source(
    schema.users,
    "profile",
    "Account profile",
    "What you told us when you registered, and the state of your account. We also hold what protects the account "
    "(a hash of your password, a seed for second factors, recovery codes); it is not exported, for your safety.",
    columns=(
        ID,
        Named("email", "The e-mail address that you log in with."),
        Named(
            "email_verified_at",
            "When you proved that the address is yours, in UTC; null if never.",
            Provenance.OBSERVED,
        ),
        Named("phone", "Your phone number in the international form of E.164, such as +6281234567890."),
        Named(
            "phone_verified_at",
            "When you proved that the number is yours, in UTC; null if never.",
            Provenance.OBSERVED,
        ),
        Named("full_name", "Your name as you gave it."),
        Named("company_name", "The name of your company as you gave it."),
        Named("job_title", "Your position as you gave it."),
        Named("locale", "Language and region of the platform's pages for you, as a tag of BCP 47, such as id-ID."),
        Named("time_zone", "Time zone of the platform's pages for you, by its IANA name, such as Asia/Jakarta."),
        Named("mfa_enabled", "True if your login asks for a second factor."),
        Named("created_at", "When you registered, in UTC.", Provenance.OBSERVED),
        Named("updated_at", "When the profile was last changed, in UTC; null if never.", Provenance.OBSERVED),
        Named("last_login_at", "When you last logged in, in UTC; null if never.", Provenance.OBSERVED),
        Named("closed_at", "When the account was closed, in UTC; null while it is open.", Provenance.OBSERVED),
        Named("legal_hold", HELD, Provenance.OBSERVED),
    ),
    provenance=Provenance.PROVIDED,
    role=Role.CONTROLLER,
    kinds=walls.USERS,
    where=walls.owned(user=schema.users.c.id),
    retention=ACCOUNT,
)

ORGANISATION = source(
    schema.organisations,
    "organisation",
    "Company",
    "The company that uses the platform: for a person, each company of which they are a member today.",
    columns=(
        Named("id", "Identifier of the company for ever; `tenant_id` elsewhere."),
        Named("name", "Name of the company as the platform shows it."),
        Named("legal_name", "Name of the company in its register."),
        Named("industry", "What the company does, as it was given at registration."),
        Named("address", "Postal address of the company."),
        Named("country", "Country of the company, as a two-letter code of ISO 3166-1."),
        Named("plan", "The plan that the company has booked: free, team, business or enterprise."),
        Named("data_region", "Region of the world where the company's data is stored, such as ap-southeast-3."),
        CREATED_AT,
        UPDATED_AT,
        Named("closed_at", "When the company left the platform, in UTC; null while it is a customer."),
        Named("legal_hold", HELD),
    ),
    provenance=Provenance.PROVIDED,
    role=Role.CONTROLLER,
    kinds=walls.USERS_AND_TENANTS,
    where=walls.employer,
    retention=CompanyItself(),
)

MEMBERSHIPS = source(
    schema.memberships,
    "memberships",
    "Memberships",
    "Which account holders belong to which company, and in what role.",
    columns=(
        ID,
        TENANT_ID,
        USER_ID,
        Named("role", "Name of the member's role, which decides what they may do: see configuration/roles."),
        Named(
            "invited_by",
            "The account holder of the company who sent the invitation, as `user_id` here; null for none.",
            person=Person.STAFF,
        ),
        Named("created_at", "When the membership began, in UTC."),
        Named("ended_at", "When the membership ended, in UTC; null while it lasts."),
    ),
    provenance=Provenance.PROVIDED,
    role=Role.CONTROLLER,
    kinds=walls.USERS_AND_TENANTS,
    where=walls.owned(user=schema.memberships.c.user_id, tenant=schema.memberships.c.tenant_id),
    retention=AccountData(schema.memberships.c.tenant_id),
)


def exporter(sources: Sources) -> Exporter:
    """The exporter of the policy's row "name, email, company, phone"."""
    return SqlExporter(sources, PROFILE, ORGANISATION, MEMBERSHIPS, finder=addresses)


def addresses(connection: Connection, subject: Subject) -> Iterator[Identity]:
    """A user's e-mail address and phone number, verified where the platform has verified them."""
    users = schema.users.c
    known = walls.own(subject, "user_id")
    if subject.kind is not SubjectKind.USER or not known:
        return
    columns = (users.email, users.email_verified_at, users.phone, users.phone_verified_at)
    for row in connection.execute(select(*columns).where(users.id.in_(known)).order_by(users.id)):
        for kind, value, verified_at in (("email", row[0], row[1]), ("phone", row[2], row[3])):
            if value:
                yield Identity("account", kind, value, verified=verified_at is not None)
