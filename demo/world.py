"""The made-up world of a plan: its people, and pure functions of numbers for ids, chance and times.

Everything is a function of the plan and a number, so any part can be made separately, in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TypeAlias

from sqlalchemy import Table, null

from demo.people import MadeUpPerson, Pool, Tenant, company_domain, email_address, language, phone_number, pool
from demo.plan import Examples, SeedPlan

Row: TypeAlias = tuple[Table, Mapping[str, object]]

EPOCH_AT = datetime(2024, 1, 1, tzinfo=UTC)
"""All times are within two years from here, so that they are in the past for every clock."""
DAY_SECONDS = 86_400
SPAN_SECONDS = 730 * DAY_SECONDS
MAIL_DOMAINS = ("mail.example", "surat.example", "post.example")
AGENTS_PER_TENANT = 2
USER_PHONES = 5_000_000
TENANT_PHONES = 9_000_000
"""Contacts have the numbers below."""
NOTHING = null()
"""NULL for a JSON column, because None would become JSON's null."""


def row(table: Table, /, **values: object) -> Row:
    """Make a row of a table, by its columns."""
    return table, values


@dataclass(frozen=True, slots=True)
class MadeUpWorld:
    """All people and companies of a plan, and the sources of chance."""

    plan: SeedPlan
    tag: str
    tenants: tuple[Tenant, ...]
    users: tuple[MadeUpPerson, ...]
    contacts: tuple[MadeUpPerson, ...]
    _staff: Mapping[str, tuple[MadeUpPerson, ...]]
    """Contacts by tenant."""

    def id(self, prefix: str, number: int, *places: int) -> str:
        return make_id(self.tag, prefix, number, *places)

    def random(self, topic: str, number: int) -> Random:
        """Return the random generator of one story, independent of all others."""
        return Random(f"{self.tag}/{topic}/{number}")

    def pool(self, language: str) -> Pool:
        return pool(language, self.plan.seed)

    def cities(self, person: MadeUpPerson) -> tuple[str, ...]:
        return self.pool(person.language).cities

    def owner(self, tenant: Tenant) -> MadeUpPerson:
        return self.users[tenant.number % len(self.users)]

    def staff(self, tenant: Tenant, place: int) -> MadeUpPerson:
        """Return a member of a tenant's staff, the owner first."""
        of_tenant = self._staff[tenant.id]
        return of_tenant[place % len(of_tenant)]

    def company_number(self, tenant: Tenant) -> str:
        """Return the number that customers dial to call a tenant."""
        return phone_number(tenant.language, TENANT_PHONES + tenant.number)

    def agent_id(self, tenant: Tenant, place: int) -> str:
        """Return the id of one of the AGENTS_PER_TENANT software agents of a tenant."""
        return self.id("agt", tenant.number, place)

    def examples(self) -> Examples:
        contact = self.contacts[0]
        return Examples(self.users[0].id, contact.id, contact.tenant.id, contact.tenant.id)


def make_world(plan: SeedPlan) -> MadeUpWorld:
    """Make all people and companies of the plan."""
    tag = plan.tag
    tenants = tuple(_tenant(plan, tag, n) for n in range(plan.tenants))
    users = tuple(_user(plan, tag, n, tenants) for n in range(plan.users))
    staff = {tenant.id: [users[tenant.number % len(users)]] for tenant in tenants}
    for user in users:
        if user != staff[user.tenant.id][0]:
            staff[user.tenant.id].append(user)
    contacts = tuple(_contacts(plan, tag, tenants, users))
    return MadeUpWorld(plan, tag, tenants, users, contacts, {name: tuple(people) for name, people in staff.items()})


def make_id(tag: str, prefix: str, number: int, *places: int) -> str:
    """Return an id like `usr_k3f9q_000042`; a part of a story ends with the number of its place."""
    return "_".join([prefix, tag, f"{number:06d}", *[f"{place:02d}" for place in places]])


def moment(random: Random) -> datetime:
    """Return a time in the two years, with microseconds."""
    return EPOCH_AT + timedelta(microseconds=random.randrange(SPAN_SECONDS * 10**6))


def later(at: datetime, random: Random, within_seconds: float) -> datetime:
    """Return a time after `at`, by at most `within_seconds`."""
    return at + timedelta(microseconds=random.randrange(1, int(within_seconds * 10**6)))


def nth(number: int, of: int, place: int) -> bool:
    """Return True for one number in each run of `of`."""
    return number % of == place


def chance(random: Random, share: float) -> bool:
    """Return True for that share of the draws."""
    return random.random() < share


def _tenant(plan: SeedPlan, tag: str, number: int) -> Tenant:
    random = Random(f"{tag}/tenant/{number}")
    spoken = "id" if number % 2 == 0 else "en"
    name = random.choice(pool(spoken, plan.seed).companies)
    return Tenant(number, make_id(tag, "ten", number), spoken, name, company_domain(name, number))


def _user(plan: SeedPlan, tag: str, number: int, tenants: tuple[Tenant, ...]) -> MadeUpPerson:
    """Make a user: the first users own a tenant each, the others work for one; some never verified their addresses."""
    random = Random(f"{tag}/person/u{number}")
    tenant = _one_of(tenants, number, random)
    spoken = language(random)
    name = _name(plan, spoken, random)
    return MadeUpPerson(
        number=number,
        id=make_id(tag, "usr", number),
        language=spoken,
        name=name,
        email=email_address(name, number, tenant.domain),
        email_verified_at=None if nth(number, 7, 6) else moment(random),
        phone=phone_number(spoken, USER_PHONES + number),
        phone_verified_at=None if nth(number, 3, 2) else moment(random),
        tenant=tenant,
    )


def _contacts(
    plan: SeedPlan, tag: str, tenants: tuple[Tenant, ...], users: tuple[MadeUpPerson, ...]
) -> Iterator[MadeUpPerson]:
    """Make the customers of one tenant each; of each ten, one shares a phone with another tenant's, one is a user."""
    previous: MadeUpPerson | None = None
    for number in range(plan.contacts):
        random = Random(f"{tag}/person/c{number}")
        spoken = language(random)
        name = _name(plan, spoken, random)
        email, phone = email_address(name, number, random.choice(MAIL_DOMAINS)), phone_number(spoken, number)
        tenant = _one_of(tenants, number, random)
        if previous and nth(number, 10, 1) and len(tenants) > 1:
            phone, tenant = previous.phone, tenants[(previous.tenant.number + 1) % len(tenants)]
        elif nth(number, 10, 3):
            user = users[number // 10 % len(users)]
            spoken, name, email, phone = user.language, user.name, user.email, user.phone
        previous = MadeUpPerson(
            number=number,
            id=make_id(tag, "con", number),
            language=spoken,
            name=name,
            email=email,
            # Before almost all of their calls and chats: a number without a proof leads to no one's calls.
            email_verified_at=None if nth(number, 6, 5) else later(EPOCH_AT, random, DAY_SECONDS),
            phone=phone,
            phone_verified_at=None if nth(number, 4, 2) else later(EPOCH_AT, random, DAY_SECONDS),
            tenant=tenant,
        )
        yield previous


def _one_of(tenants: tuple[Tenant, ...], number: int, random: Random) -> Tenant:
    """Assign tenants in turn at first, then more often the first tenants, so that they are larger."""
    share = random.random()
    return tenants[number] if number < len(tenants) else tenants[int(len(tenants) * share * share)]


def _name(plan: SeedPlan, spoken: str, random: Random) -> str:
    words = pool(spoken, plan.seed)
    return f"{random.choice(words.first_names)} {random.choice(words.last_names)}"
