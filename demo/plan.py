"""The amount of made-up data to make, and the result."""

from __future__ import annotations

import json
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2s

from portability.api.errors import BadInput

TAG_CHARACTERS = 5
SLOWEST_HZ, FASTEST_HZ = 8_000, 16_000
"""With a lower rate the mouth's resonances cannot be represented (demo.speech)."""
LONGEST_SECONDS = 86_400
"""The limit of a WAV file is 4 GiB."""
SMALLEST = {"tenants": 1, "users": 1, "contacts": 1}
LARGEST = {"tenants": 1_000_000, "messages_per_chat": 100_000}
LARGEST_OF_OTHERS = 100_000_000
"""More than a database of one machine takes in a week: a larger number is a typing error, and would run without end."""


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """Totals of the whole data, not per tenant. Equal plans give equal data.

    Raises:
        BadInput: a total that is too small or too large, or an invalid range.
    """

    tenants: int = 3
    users: int = 12
    contacts: int = 60
    calls: int = 120
    chats: int = 120
    messages_per_chat: int = 6
    """The minimum; a conversation is always complete."""
    events: int = 1_500
    """Rows of usage and performance data."""
    recordings: int = 20
    """The number of calls with a recording (the first calls); at most one recording per call."""
    recording_seconds: tuple[float, float] = (6.0, 45.0)
    """Shortest and longest; if both are equal, every recording has exactly that length."""
    recording_rate_hz: int = 8_000
    hostile_share: float = 0.02
    """The share of rows with hostile free text; a few are always hostile."""
    seed: int = 1

    def __post_init__(self) -> None:
        totals = ("tenants", "users", "contacts", "calls", "chats", "messages_per_chat", "events", "recordings")
        for name in totals:
            if getattr(self, name) < SMALLEST.get(name, 0):
                raise BadInput(f"invalid {name}: {getattr(self, name)}; the minimum is {SMALLEST.get(name, 0)}")
            if getattr(self, name) > LARGEST.get(name, LARGEST_OF_OTHERS):
                largest = LARGEST.get(name, LARGEST_OF_OTHERS)
                raise BadInput(f"invalid {name}: {getattr(self, name)}; the maximum is {largest}")
        shortest, longest = self.recording_seconds
        if not SLOWEST_HZ <= self.recording_rate_hz <= FASTEST_HZ:
            raise BadInput(
                f"invalid sampling rate: {self.recording_rate_hz} Hz is not between {SLOWEST_HZ} and {FASTEST_HZ}"
            )
        if not 0 < shortest <= longest <= LONGEST_SECONDS:
            raise BadInput(
                f"invalid length of recordings: {shortest:g} to {longest:g} s is not between 0 and {LONGEST_SECONDS} s"
            )
        if not 0 <= self.hostile_share <= 1:
            raise BadInput(f"invalid hostile share: {self.hostile_share:g} is not between 0 and 1")

    @property
    def tag(self) -> str:
        """Return a part of every id: data of different plans never share a row, data of equal plans always do."""
        wanted = asdict(self) | {"recording_seconds": [float(bound) for bound in self.recording_seconds]}
        digest = blake2s(json.dumps(wanted, sort_keys=True).encode()).digest()
        return b32encode(digest).decode().lower()[:TAG_CHARACTERS]


@dataclass(frozen=True, slots=True)
class Examples:
    """Ids of subjects with data in every dataset that applies to them."""

    user: str
    contact: str
    contact_tenant: str
    tenant: str


@dataclass(frozen=True, slots=True)
class SeedReport:
    """What the source contains of a plan."""

    tables: Mapping[str, int]
    """Rows of this plan by table, new and existing rows."""
    added: int
    """Number of new rows."""
    recordings: int
    bytes: int
    """Size of the recordings."""
    examples: Examples = field(repr=False)
