"""Made-up people and companies, Indonesian and English. Their addresses, numbers and mail domains do not exist."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from random import Random

from demo import extra

POOL_SIZE = 400
LOCALES = {"id": "id_ID", "en": "en_GB"}
INDONESIAN_SHARE = 0.6
TIME_ZONES = {"id": "Asia/Jakarta", "en": "Europe/London"}
COUNTRIES = {"id": "ID", "en": "GB"}
CURRENCIES = {"id": "IDR", "en": "GBP"}


@dataclass(frozen=True, slots=True)
class Pool:
    """Words of one language, drawn once, because Faker is too slow for every row."""

    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    companies: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[str, ...]
    jobs: tuple[str, ...]
    user_agents: tuple[str, ...]

    def address(self, random: Random) -> str:
        return f"{random.choice(self.streets)}\n{random.choice(self.cities)}"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A company that uses the platform."""

    number: int
    id: str
    language: str
    name: str
    domain: str


@dataclass(frozen=True, slots=True)
class MadeUpPerson:
    """A user or a contact with the data that tables need."""

    number: int
    id: str
    language: str
    name: str
    email: str
    email_verified_at: datetime | None
    phone: str
    phone_verified_at: datetime | None
    tenant: Tenant


@cache
def pool(language: str, seed: int) -> Pool:
    """Return the words of a language; the same seed gives the same words."""
    faker = extra.load("faker").Faker(LOCALES[language])
    faker.seed_instance(f"{seed}/{language}")

    def draw(word: Callable[[], str]) -> tuple[str, ...]:
        return tuple(word() for _ in range(POOL_SIZE))

    return Pool(
        first_names=draw(faker.first_name),
        last_names=draw(faker.last_name),
        companies=draw(faker.company),
        streets=draw(faker.street_address),
        cities=draw(faker.city),
        jobs=draw(faker.job),
        user_agents=draw(faker.user_agent),
    )


def language(random: Random) -> str:
    """Return `id` or `en`."""
    return "id" if random.random() < INDONESIAN_SHARE else "en"


def phone_number(language: str, number: int) -> str:
    """Return an E.164 number from ranges that are probably not in use (+62 84, +1 555), unique below ten million."""
    scattered = (number + 1_234_567) * 7_919
    return f"+6284{scattered % 10**9:09d}" if language == "id" else f"+1555{scattered % 10**7:07d}"


def email_address(name: str, number: int, domain: str) -> str:
    """Return an e-mail address, unique for each number."""
    return f"{slug(name, '.')}{number}@{domain}"


def company_domain(name: str, number: int) -> str:
    """Return a domain below `.example`, which is reserved (RFC 2606)."""
    return f"{slug(name, '-')}-{number}.example"


def ip_address(random: Random) -> str:
    """Return an address from the ranges for documentation (RFC 5737, RFC 3849)."""
    network = random.choice(("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8::"))
    return f"{network}{random.randrange(1, 255)}"


def slug(text: str, joiner: str) -> str:
    """Return lower-case ASCII letters and digits, with all other characters replaced by `joiner`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return joiner.join(re.findall(r"[a-z0-9]+", plain))
