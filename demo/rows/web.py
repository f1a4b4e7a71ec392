"""Observed data of an account holder: devices, visits, cookies, performance, and accesses to the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import TypeAlias

from demo.people import COUNTRIES, MadeUpPerson, ip_address
from demo.world import MadeUpWorld, Row, chance, later, moment, row
from exporters.reference import schema

DAY_SECONDS = 86_400.0
VISIT_SECONDS = 1_800.0
PAGES = ("/", "/calls", "/chats?filter=open&sort=-date", "/reports/weekly", "/settings/billing", "/kontak")
POLICY_VERSION = "2024-06"


def trace_rows(world: MadeUpWorld, number: int) -> Iterator[Row]:
    """Make the rows that belong to an account as a whole."""
    random, user = world.random("trace", number), world.users[number]
    yield from _seen_rows(world, user, random)
    yield from _cookie_rows(world, user, random)
    yield from _trail_rows(world, user, random)


def _seen_rows(world: MadeUpWorld, user: MadeUpPerson, random: Random) -> Iterator[Row]:
    for place, kind in enumerate(("laptop", "phone")[: 2 if user.number == 0 else random.randint(1, 2)]):
        seen_at = moment(random)
        seen = {
            "user_id": user.id,
            "created_at": seen_at,
            "first_seen_at": seen_at,
            "last_seen_at": later(seen_at, random, 200 * DAY_SECONDS),
        }
        device = {
            "id": world.id("dev", user.number, place),
            "kind": kind,
            "manufacturer": random.choice(("Acme", "Globex", None)),
            "model": f"M{random.randrange(100)}",
            "operating_system": random.choice(("Android 15", "Windows 11", "macOS 15", "Debian 13")),
            "browser": random.choice(("Firefox 140", "Chrome 140", "Safari 18")),
            "device_identifier": f"{random.getrandbits(64):016x}",
            "screen": random.choice(("1920x1080", "412x915")),
            "language": user.language,
            "trusted": random.choice((True, False, None)),
        }
        address = {
            "id": world.id("ipa", user.number, place),
            "address": ip_address(random),
            "country": COUNTRIES[user.language],
            "city": random.choice(world.cities(user)),
            "times_seen": random.randrange(1, 500),
        }
        agent = {
            "id": world.id("uag", user.number, place),
            "user_agent": random.choice(world.pool(user.language).user_agents),
            "times_seen": random.randrange(1, 500),
        }
        yield from (
            (schema.devices, seen | device),
            (schema.ip_addresses, seen | address),
            (schema.user_agents, seen | agent),
        )


def _cookie_rows(world: MadeUpWorld, user: MadeUpPerson, random: Random) -> Iterator[Row]:
    for place, category in enumerate(("necessary", "analytics", "marketing")):
        decided_at = moment(random)
        yield row(
            schema.cookie_preferences,
            id=world.id("ckp", user.number, place),
            user_id=user.id,
            category=category,
            allowed=category == "necessary" or chance(random, 0.5),
            policy_version=POLICY_VERSION,
            source=random.choice(("banner", "settings")),
            decided_at=decided_at,
            created_at=decided_at,
        )
    first_seen_at = moment(random)
    yield row(
        schema.analytics_ids,
        id=world.id("ani", user.number),
        user_id=user.id,
        provider="web analytics",
        cookie_name="_wa",
        analytics_id=f"WA1.{random.getrandbits(40)}.{random.getrandbits(31)}",
        first_seen_at=first_seen_at,
        last_seen_at=later(first_seen_at, random, 200 * DAY_SECONDS),
        created_at=first_seen_at,
    )


def _trail_rows(world: MadeUpWorld, user: MadeUpPerson, random: Random) -> Iterator[Row]:
    for place in range(random.randint(2, 5)):
        occurred_at = moment(random)
        yield row(
            schema.processing_trail,
            id=world.id("trl", user.number, place),
            user_id=user.id,
            operation=random.choice(("read", "change", "share", "export")),
            purpose=random.choice(("support", "billing", "security", "product analytics")),
            data_category=random.choice(("profile", "invoices", "usage")),
            actor_role=random.choice(("support", "finance", "system")),
            recipient=random.choice((None, "payment processor", "mail provider")),
            occurred_at=occurred_at,
            created_at=occurred_at,
            trace=f"{random.getrandbits(64):016x}",
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One event during a visit."""

    id: str
    user: MadeUpPerson
    session_id: str
    base_url: str
    at: datetime
    random: Random

    def url(self) -> str:
        return self.base_url + self.random.choice(PAGES)


def visit_rows(world: MadeUpWorld, number: int, events: int) -> Iterator[Row]:
    """Make one visit of one user: its session, and at most VISIT_EVENTS rows of usage and performance."""
    random = world.random("visit", number)
    some = random.randrange(len(world.users))
    user = world.users[number if number < len(world.users) else some]
    began_at, session_id = moment(random), world.id("ses", number)
    yield row(
        schema.cookie_sessions,
        id=session_id,
        user_id=user.id,
        ip_address=ip_address(random),
        user_agent=random.choice(world.pool(user.language).user_agents),
        landing_url=f"https://app.{user.tenant.domain}/",
        started_at=began_at,
        last_seen_at=later(began_at, random, VISIT_SECONDS),
        ended_at=later(began_at, random, VISIT_SECONDS) if chance(random, 0.8) else None,
        created_at=began_at,
    )
    for place, (table, make) in enumerate(VISIT[:events]):
        event = Event(
            id=world.id("evt", number, place),
            user=user,
            session_id=session_id,
            base_url=f"https://app.{user.tenant.domain}",
            at=later(began_at, random, VISIT_SECONDS),
            random=random,
        )
        yield table, {"id": event.id, "user_id": user.id, "created_at": event.at, **make(event)}


Values: TypeAlias = Mapping[str, object]


def _page_view(event: Event) -> Values:
    return {
        "session_id": event.session_id,
        "url": event.url(),
        "title": event.random.choice(("Dashboard", "Dasbor", "Reports: last week")),
        "referrer": event.random.choice((None, "", "https://search.example/?q=customer+service")),
        "seconds": event.random.random() * 300,
        "viewed_at": event.at,
    }


def _feature_use(event: Event) -> Values:
    return {
        "tenant_id": event.user.tenant.id,
        "feature": event.random.choice(("call_search", "chat_export", "flow_editor")),
        "action": event.random.choice(("open", "save", "share")),
        "detail": event.random.choice((None, {"filter": {"from": "2024-01-01", "tags": ["vip"]}})),
        "used_at": event.at,
    }


def _click(event: Event) -> Values:
    return {
        "session_id": event.session_id,
        "url": event.url(),
        "element": event.random.choice(("button#save", 'a[href="/reports"]', "td.name > span")),
        "x_pixels": event.random.randrange(1920),
        "y_pixels": event.random.randrange(1080),
        "clicked_at": event.at,
    }


def _navigation_path(event: Event) -> Values:
    urls = [event.url() for _ in range(4)]
    return {
        "session_id": event.session_id,
        "urls": urls,
        "entry_url": urls[0],
        "exit_url": urls[-1],
        "began_at": event.at,
        "ended_at": later(event.at, event.random, VISIT_SECONDS),
    }


def _api_timing(event: Event) -> Values:
    return {
        "method": event.random.choice(("GET", "POST")),
        "route": event.random.choice(("/api/calls", "/api/chats/{id}", "/api/contacts")),
        "status": event.random.choice((200, 200, 200, 404, 503)),
        "milliseconds": event.random.expovariate(1 / 80),
        "requested_at": event.at,
    }


def _error_log(event: Event) -> Values:
    return {
        "error": event.random.choice(("TypeError", "NetworkError")),
        "message": event.random.choice(("x is undefined\n  at line 7", "Failed to fetch")),
        "url": event.url(),
        "app_version": f"5.{event.random.randrange(30)}.0",
        "context": {"online": chance(event.random, 0.5), "memory_megabytes": event.random.random() * 900},
        "occurred_at": event.at,
    }


VISIT = (
    (schema.page_views, _page_view),
    (schema.feature_uses, _feature_use),
    (schema.clicks, _click),
    (schema.navigation_paths, _navigation_path),
    (schema.api_timings, _api_timing),
    (schema.error_logs, _error_log),
    *((schema.page_views, _page_view), (schema.clicks, _click), (schema.feature_uses, _feature_use)) * 3,
    *((schema.page_views, _page_view), (schema.api_timings, _api_timing)) * 2,
    (schema.page_views, _page_view),
)
"""The events of a visit, in this order, as far as the plan's number of events allows."""
VISIT_EVENTS = len(VISIT)
