"""A tenant's customers: contacts, their companies, deals and activities."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from demo.people import CURRENCIES, MadeUpPerson
from demo.rows.interactions import NOTES
from demo.world import EPOCH_AT, MadeUpWorld, Row, chance, later, moment, nth, row
from exporters.reference import schema

DAY_SECONDS = 86_400.0
MANY_DIGITS = Decimal("98765432109876543210.123456789012345678")
BEYOND_DOUBLE = 2**60 + 1
"""An integer that a 64-bit float cannot represent."""
COMPANY_EVERY = 3


def contact_rows(world: MadeUpWorld, number: int) -> Iterator[Row]:
    """Make one customer with all CRM data; every third one has a company, and some share a company."""
    random, contact = world.random("contact", number), world.contacts[number]
    words, created_at = world.pool(contact.language), moment(random)
    company_id = _company_id(world, number)
    yield row(
        schema.contacts,
        id=contact.id,
        tenant_id=contact.tenant.id,
        company_id=company_id,
        external_id=f"{random.randrange(10**12):012d}" if chance(random, 0.7) else None,
        full_name=contact.name,
        email=None if nth(number, 20, 19) else contact.email,
        email_verified_at=None if nth(number, 20, 19) else contact.email_verified_at,
        phone=contact.phone,
        phone_verified_at=contact.phone_verified_at,
        job_title=random.choice(words.jobs) if chance(random, 0.6) else "",
        address=words.address(random) if chance(random, 0.8) else None,
        born_on=date(1955, 1, 1) + timedelta(days=random.randrange(18_000)),
        language=contact.language,
        source=random.choice(("import", "web_form", "call", "chat")),
        tags=random.choice((None, [], ["vip"], ["newsletter", "pelanggan lama"])),
        custom=_custom(random),
        private_note=NOTES[contact.language] if nth(number, 5, 0) else None,
        do_not_contact=chance(random, 0.1),
        lead_score=round(random.uniform(0, 100), 3),
        created_at=created_at,
        updated_at=later(created_at, random, 90 * DAY_SECONDS),
        deleted_at=later(created_at, random, 90 * DAY_SECONDS) if nth(number, 25, 24) else None,
        duplicate_of_hash=f"{random.getrandbits(64):016x}",
    )
    if company_id is not None and nth(number, COMPANY_EVERY, 0):
        yield _company(world, contact, company_id, random)
    yield from _deal_rows(world, contact, company_id, random)
    yield from _activity_rows(world, contact, random)
    yield from _trail_rows(world, contact)


def _company_id(world: MadeUpWorld, number: int) -> str | None:
    """Return the contact's own company, or that of the previous contact of the same tenant."""
    if nth(number, COMPANY_EVERY, 0):
        return world.id("cpy", number)
    colleagues = number > 0 and world.contacts[number].tenant == world.contacts[number - 1].tenant
    return world.id("cpy", number - 1) if colleagues and nth(number, COMPANY_EVERY, 1) else None


def _custom(random: Random) -> dict[str, object] | None:
    if chance(random, 0.5):
        return None
    return {
        "loyalty points": random.randrange(10**5),
        "ledger": BEYOND_DOUBLE,
        "ratio": random.random(),
        "ukuran sepatu": random.choice((None, "42", "")),
        "preferences": {"contact by": ["WhatsApp", "email"], "note": "=1+1\n\u202ejebak"},
    }


def _company(world: MadeUpWorld, contact: MadeUpPerson, company_id: str, random: Random) -> Row:
    words, created_at = world.pool(contact.language), moment(random)
    return row(
        schema.companies,
        id=company_id,
        tenant_id=contact.tenant.id,
        name=random.choice(words.companies),
        domain=f"firm-{contact.number}.example",
        industry=random.choice(("retail", "agriculture", "logistics", None)),
        employees=random.randrange(1, 9_000),
        annual_revenue=MANY_DIGITS if contact.number == 0 else _money(random),
        currency=CURRENCIES[contact.language],
        address=words.address(random),
        created_at=created_at,
        updated_at=later(created_at, random, 90 * DAY_SECONDS),
    )


def _money(random: Random) -> Decimal:
    return Decimal(random.randrange(10**14)).scaleb(-random.randint(0, 6))


def _deal_rows(world: MadeUpWorld, contact: MadeUpPerson, company_id: str | None, random: Random) -> Iterator[Row]:
    for place in range(1 if contact.number == 0 else random.randint(0, 1)):
        created_at, won = moment(random), chance(random, 0.4)
        yield row(
            schema.deals,
            id=world.id("dea", contact.number, place),
            tenant_id=contact.tenant.id,
            contact_id=contact.id,
            company_id=company_id,
            name=f"{random.choice(('Renewal', 'Langganan', 'Upgrade'))} {created_at:%Y}",
            stage="won" if won else random.choice(("new", "offer", "lost")),
            amount=_money(random),
            currency=CURRENCIES[contact.language],
            probability=1.0 if won else round(random.random(), 2),
            closes_on=(EPOCH_AT + timedelta(days=random.randrange(900))).date(),
            closed_at=later(created_at, random, 60 * DAY_SECONDS) if won else None,
            private_note=NOTES[contact.language] if nth(contact.number, 2, 0) else None,
            created_at=created_at,
            updated_at=later(created_at, random, 60 * DAY_SECONDS),
        )


def _activity_rows(world: MadeUpWorld, contact: MadeUpPerson, random: Random) -> Iterator[Row]:
    """Make meetings and mails; their participants are third parties too."""
    for place in range(random.randint(1, 3)):
        occurred_at = moment(random)
        other, staff = random.choice(world.contacts), world.staff(contact.tenant, contact.number + place)
        yield row(
            schema.activities,
            id=world.id("act", contact.number, place),
            tenant_id=contact.tenant.id,
            contact_id=contact.id,
            deal_id=world.id("dea", contact.number, 0) if contact.number == 0 else None,
            kind=random.choice(("meeting", "email", "note", "task")),
            subject=random.choice(("Follow-up", "Tindak lanjut", "", None, "Price list")),
            body=random.choice(("Asked for a price list.", "Minta dihubungi minggu depan.", None)),
            staff_id=staff.id,
            participants=[
                {"name": contact.name, "email": contact.email, "role": "customer"},
                {"name": other.name, "email": other.email, "role": "guest"},
                {"name": staff.name, "email": staff.email, "role": "staff"},
            ],
            occurred_at=occurred_at,
            created_at=occurred_at,
        )


def _trail_rows(world: MadeUpWorld, contact: MadeUpPerson) -> Iterator[Row]:
    """Make operations of the company on the contact's data."""
    random = world.random("contact trail", contact.number)
    for place in range(random.randint(1, 3)):
        occurred_at = moment(random)
        yield row(
            schema.contact_trail,
            id=world.id("ctr", contact.number, place),
            tenant_id=contact.tenant.id,
            contact_id=contact.id,
            operation=random.choice(("view", "change", "disclose", "export")),
            purpose=random.choice(("support", "sales", "a request of the contact")),
            data_category=random.choice(("profile", "calls", "deals")),
            actor_role=random.choice(("support", "sales", "system")),
            recipient=random.choice((None, None, "parcel service")),
            occurred_at=occurred_at,
            created_at=occurred_at,
            trace=f"{random.getrandbits(64):016x}",
        )
