"""Tenants: the company, its payments, and its configuration."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from demo.people import COUNTRIES, CURRENCIES, Tenant
from demo.world import AGENTS_PER_TENANT, EPOCH_AT, MadeUpWorld, Row, chance, later, moment, nth, row
from exporters.reference import schema

DAY_SECONDS = 86_400.0
MONTHS_BILLED = 4
PRICES = {"IDR": Decimal("1250000.00"), "GBP": Decimal("79.90")}
PERMISSIONS = {
    "admin": ["*"],
    "supervisor": ["calls.read", "calls.listen", "chats.read", "reports.read"],
    "agent": ["calls.take", "chats.take", "contacts.read"],
}


def tenant_rows(world: MadeUpWorld, number: int) -> Iterator[Row]:
    """Make one company with its owner, its bills and its configuration."""
    random, tenant = world.random("organisation", number), world.tenants[number]
    created_at = moment(random)
    words = world.pool(tenant.language)
    yield row(
        schema.organisations,
        id=tenant.id,
        name=tenant.name,
        legal_name=f"{tenant.name}{', PT' if tenant.language == 'id' else ' Ltd'}",
        industry=random.choice(("retail", "travel", "health", "banking")),
        address=words.address(random),
        country=COUNTRIES[tenant.language],
        plan="business",
        data_region={"id": "ap-southeast-3", "en": "eu-west-2"}[tenant.language],
        created_at=created_at,
        updated_at=later(created_at, random, 90 * DAY_SECONDS),
        closed_at=later(created_at, random, 300 * DAY_SECONDS) if nth(number, 12, 2) else None,
        legal_hold=nth(number, 24, 14),
        database_shard=f"shard-{number % 4}",
    )
    yield row(
        schema.memberships,
        id=world.id("own", number),
        tenant_id=tenant.id,
        user_id=world.owner(tenant).id,
        role="owner",
        invited_by=None,
        created_at=created_at,
    )
    yield from _billing_rows(world, tenant, random)
    yield from _agent_rows(world, tenant, random)
    yield from _role_rows(world, tenant, random)
    yield from _integration_rows(world, tenant, random)


def _billing_rows(world: MadeUpWorld, tenant: Tenant, random: Random) -> Iterator[Row]:
    owner, currency, created_at = world.owner(tenant), CURRENCIES[tenant.language], moment(random)
    payer = {"tenant_id": tenant.id, "user_id": owner.id}
    seats = random.randint(3, 40)
    yield row(
        schema.subscriptions,
        **payer,
        id=world.id("sub", tenant.number),
        plan="business",
        status="cancelled" if nth(tenant.number, 12, 2) else "active",
        seats=seats,
        price=PRICES[currency],
        currency=currency,
        billing_period="month",
        started_at=created_at,
        current_period_ends_at=later(created_at, random, 30 * DAY_SECONDS),
        cancelled_at=later(created_at, random, 30 * DAY_SECONDS) if nth(tenant.number, 12, 2) else None,
        created_at=created_at,
        processor_customer=f"cus-{tenant.number}",
    )
    for month in range(MONTHS_BILLED):
        yield schema.invoices, payer | _invoice(world, tenant, month, seats, random)
    for place, kind in enumerate(("card", "bank_account")):
        yield schema.payment_methods, payer | _payment_method(world, tenant, place, kind, random)


def _invoice(world: MadeUpWorld, tenant: Tenant, month: int, seats: int, random: Random) -> dict[str, object]:
    currency, unpaid = CURRENCIES[tenant.language], month == MONTHS_BILLED - 1
    issued_on = EPOCH_AT.date() + timedelta(days=30 * month)
    net = PRICES[currency] * seats
    tax = net * Decimal("0.11") if currency == "IDR" else net * Decimal("0.20")
    issued_at = EPOCH_AT + timedelta(days=30 * month, microseconds=random.randrange(1, 10**9))
    invoice_id = world.id("inv", tenant.number, month)
    return {
        "id": invoice_id,
        "number": f"INV-{issued_on:%Y%m}-{tenant.number:05d}",
        "status": "open" if unpaid else "paid",
        "billing_name": tenant.name,
        "billing_email": f"billing@{tenant.domain}",
        "billing_address": world.pool(tenant.language).address(random),
        "tax_number": f"00.000.000.0-{tenant.number:03d}.000" if currency == "IDR" else None,
        "net": net,
        "tax": tax,
        "total": net + tax,
        "currency": currency,
        "lines": [{"text": "Business plan", "quantity": seats, "unit_price": str(PRICES[currency])}],
        "issued_on": issued_on,
        "due_on": issued_on + timedelta(days=14),
        "paid_at": None if unpaid else later(issued_at, random, 14 * DAY_SECONDS),
        "created_at": issued_at,
        "pdf_storage_key": f"invoices/{invoice_id}.pdf",
    }


def _payment_method(world: MadeUpWorld, tenant: Tenant, place: int, kind: str, random: Random) -> dict[str, object]:
    card, created_at = kind == "card", moment(random)
    return {
        "id": world.id("pay", tenant.number, place),
        "kind": kind,
        "brand": random.choice(("visa", "mastercard", "gpn")) if card else None,
        "last_four": f"{random.randrange(10_000):04d}",
        "expires_month": random.randint(1, 12) if card else None,
        "expires_year": random.randint(2027, 2031) if card else None,
        "holder_name": world.owner(tenant).name,
        "country": COUNTRIES[tenant.language],
        "is_default": card,
        "created_at": created_at,
        "removed_at": None if card else later(created_at, random, 90 * DAY_SECONDS),
    }


def _agent_rows(world: MadeUpWorld, tenant: Tenant, random: Random) -> Iterator[Row]:
    for place in range(AGENTS_PER_TENANT):
        created_at, agent_id = moment(random), world.agent_id(tenant, place)
        yield row(
            schema.agents,
            id=agent_id,
            tenant_id=tenant.id,
            name=random.choice(("Ayu", "Bima", "Grace", "Tom")),
            kind=("voice", "chat")[place % 2],
            language=tenant.language,
            voice=f"{tenant.language}-warm-{place + 1}",
            greeting={"id": "Halo, ada yang bisa dibantu?", "en": "Hello, how can I help?"}[tenant.language],
            instructions="Be polite.\nNever promise a refund above 100.\nHand over to a human when asked.",
            settings={"temperature": 0.3, "handover": True, "hours": {"mon-fri": "08:00-17:00"}},
            enabled=not nth(place, 4, 3),
            created_at=created_at,
            updated_at=later(created_at, random, 60 * DAY_SECONDS),
        )
        published_at = later(created_at, random, DAY_SECONDS)
        steps = [{"say": "greeting"}, {"ask": "order_number"}, {"if": "refund > 100", "then": "handover"}]
        yield row(
            schema.flows,
            id=world.id("flo", tenant.number, place),
            tenant_id=tenant.id,
            agent_id=agent_id if place == 0 else None,
            name=("Where is my order?", "Pengembalian barang")[place % 2],
            version=place + 1,
            definition={"start": "greeting", "steps": steps},
            published_at=published_at if place == 0 else None,
            created_at=created_at,
            updated_at=published_at,
        )


def _role_rows(world: MadeUpWorld, tenant: Tenant, random: Random) -> Iterator[Row]:
    for place, (name, permissions) in enumerate(PERMISSIONS.items()):
        created_at = moment(random)
        yield row(
            schema.roles,
            id=world.id("rol", tenant.number, place),
            tenant_id=tenant.id,
            name=name,
            description=f"What a {name} may do",
            permissions=permissions,
            created_at=created_at,
            updated_at=later(created_at, random, 60 * DAY_SECONDS) if chance(random, 0.5) else None,
        )


def _integration_rows(world: MadeUpWorld, tenant: Tenant, random: Random) -> Iterator[Row]:
    for place, kind in enumerate(("crm", "webhook")):
        created_at = moment(random)
        synced_at = later(created_at, random, 60 * DAY_SECONDS)
        yield row(
            schema.integrations,
            id=world.id("int", tenant.number, place),
            tenant_id=tenant.id,
            kind=kind,
            name=f"{kind} of {tenant.name}",
            settings={"url": f"https://{kind}.{tenant.domain}/api", "since": date(2024, 1, 1).isoformat()},
            enabled=place == 0,
            last_synced_at=synced_at if place == 0 else None,
            created_at=created_at,
            updated_at=synced_at,
        )
