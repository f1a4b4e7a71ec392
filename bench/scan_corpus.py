"""A labelled corpus for the scan, made by code: values that must be found, and near misses that must not."""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from portability.law.scan_rules import Brand, built_in

SEED = 18
EACH = 200
SPEECH = (
    "{}",
    "my card is {} thanks",
    "nomor kartu saya {}, tolong dicek ya kak",
    "Halo kak, ini {} 🙏",
    "kartu:{}",
    'He said: "{}".',
    "1. {}\n2. terima kasih",
    "{} exp 12/27 cvv 123",
)
WORDS = ["nol", "satu", "dua", "tiga", "empat", "lima", "enam", "tujuh", "delapan", "sembilan"]
GROUPS: Mapping[int, tuple[tuple[int, ...], ...]] = {
    13: ((4, 3, 3, 3),),
    14: ((4, 6, 4),),
    15: ((4, 6, 5),),
    16: ((4, 4, 4, 4),),
    19: ((4, 4, 4, 4, 3),),
}
SEPARATORS = {"none": "", "blank": " ", "hyphen": "-", "no-break blank": "\u00a0", "point": ".", "comma": ", "}


@dataclass(frozen=True, slots=True)
class Case:
    """A text, the kind of value in it, and the rule that must find it; None: no rule."""

    kind: str
    text: str
    rule: str | None


def cases() -> Iterator[Case]:
    """Yield the same cases each time."""
    r = random.Random(SEED)  # noqa: S311  # a corpus, not a secret
    yield from _cards(r)
    yield from (Case("NIK", _said(r, nik(r)), "nik") for _ in range(EACH))
    yield from (Case("NIK, grouped", _said(r, _cut(nik(r), (6, 6, 4), " ")), "nik") for _ in range(EACH))
    for rule, make in KEYS.items():
        yield from (Case(rule, _said(r, make(r)), rule) for _ in range(EACH // 4))
    for kind, make in NEAR_MISSES.items():
        yield from (Case(kind, _said(r, make(r)), None) for _ in range(EACH))
    for kind, make in KNOWN_MISSES.items():
        yield from (Case(kind, _said(r, make(r)), "card-number") for _ in range(EACH))


def card(r: random.Random, brand: Brand, digits: int) -> str:
    """Return a card number in the form of an issuer."""
    low, high = r.choice(brand.prefixes)
    begin = str(r.randint(int(low), int(high))) + _digits(r, digits)
    body = begin[: digits - 1]
    return body + check_digit(body)


def check_digit(body: str) -> str:
    """Return the check digit by Luhn's algorithm."""
    doubled = (2 * int(digit) if place % 2 == 0 else int(digit) for place, digit in enumerate(reversed(body)))
    return str(-sum(value - 9 if value > 9 else value for value in doubled) % 10)  # noqa: PLR2004  # sum of its digits


def nik(r: random.Random) -> str:
    """Return a number in the form of the civil registry."""
    province, (regency, city) = r.choice(list(built_in().provinces.items()))
    region = r.choice([r.randint(1, regency), r.randint(71, city)])
    day = r.randint(1, 28) + r.choice([0, 40])
    born = f"{day:02}{r.randint(1, 12):02}{r.randint(0, 99):02}"
    return f"{province}{region:02}{r.randint(1, 40):02}{born}{r.randint(1, 99):04}"


def _cards(r: random.Random) -> Iterator[Case]:
    for brand in built_in().brands:
        for name, separator in SEPARATORS.items():
            for _ in range(EACH // 10):
                number = card(r, brand, r.choice(sorted(brand.digits & GROUPS.keys())))
                written = _cut(number, GROUPS[len(number)][0], separator)
                if name == "point" and len(number) == 13:  # noqa: PLR2004  # cannot be distinguished from an amount
                    continue
                yield Case(f"{brand.name}", _said(r, written), "card-number")


def _said(r: random.Random, value: str) -> str:
    return r.choice(SPEECH).format(value)


def _cut(number: str, groups: tuple[int, ...], separator: str) -> str:
    parts, at = [], 0
    for size in groups:
        parts.append(number[at : at + size])
        at += size
    return separator.join(parts)


def _digits(r: random.Random, count: int) -> str:
    return "".join(r.choice(string.digits) for _ in range(count))


def _letters(r: random.Random, count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(r.choice(alphabet) for _ in range(count))


def _not_luhn(r: random.Random) -> str:
    number = card(r, built_in().brands[0], 16)
    return number[:-1] + str((int(number[-1]) + r.randint(1, 9)) % 10)


def _iban(r: random.Random) -> str:
    number = f"{r.choice(['DE', 'NL', 'GB', 'FR'])}{_digits(r, 20)}"
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4))


def _hex(r: random.Random, count: int) -> str:
    return _letters(r, count, "0123456789abcdef")


KEYS: Mapping[str, Callable[[random.Random], str]] = {
    "canary": lambda r: f"portability-canary-{_letters(r, 12)}",
    "private-key": lambda r: (
        f"-----BEGIN {r.choice(['', 'RSA ', 'EC ', 'OPENSSH '])}PRIVATE KEY-----\n{_letters(r, 200)}"
    ),
    "age-key": lambda r: f"AGE-SECRET-KEY-1{_letters(r, 58, string.ascii_uppercase)}",
    "aws-key": lambda r: f"{r.choice(['AKIA', 'ASIA'])}{_letters(r, 16, string.ascii_uppercase + '234567')}",
    "github-token": lambda r: r.choice(["ghp_", "gho_", "ghs_"]) + _letters(r, 36),
    "gitlab-token": lambda r: f"glpat-{_letters(r, 20)}",
    "registry-token": lambda r: f"npm_{_letters(r, 36)}",
    "slack-token": lambda r: f"{r.choice(['xoxb', 'xoxp'])}-{_digits(r, 11)}-{_letters(r, 24)}",
    "payment-key": lambda r: r.choice(["sk_live_", "rk_live_", "xnd_production_", "Mid-server-"]) + _letters(r, 24),
    "google-key": lambda r: f"AIza{_letters(r, 35)}",
    "model-key": lambda r: r.choice(["sk-ant-", "sk-proj-"]) + _letters(r, 40),
    "mail-key": lambda r: f"SG.{_letters(r, 22)}.{_letters(r, 43)}",
    "jwt": lambda r: f"eyJ{_letters(r, 30)}.eyJ{_letters(r, 60)}.{_letters(r, 86)}",
    "bearer-token": lambda r: f"Authorization: Bearer {_letters(r, 40)}",
    "signed-url": lambda r: f"https://files.example/{_hex(r, 8)}.wav?X-Amz-Expires=300&X-Amz-Signature={_hex(r, 64)}",
    "database-url": lambda r: f"postgresql://app:{_letters(r, 12)}@db.internal:5432/app",
    "password-hash": lambda r: f"$2b$12${_letters(r, 53)}",
}
NEAR_MISSES: Mapping[str, Callable[[random.Random], str]] = {
    "16 digits, wrong check digit": _not_luhn,
    "order number, 16 digits": lambda r: f"ORD-{r.randint(2015, 2026)}{r.randint(1, 12):02}{_digits(r, 10)}",
    "tracking number, 12 digits": lambda r: _digits(r, 12),
    "phone, +62": lambda r: f"+628{_digits(r, r.randint(9, 11))}",
    "phone, 62": lambda r: f"628{_digits(r, r.randint(9, 11))}",
    "phone, grouped": lambda r: f"+62 8{_digits(r, 2)}-{_digits(r, 4)}-{_digits(r, 4)}",
    "UUID": lambda r: str(uuid.UUID(int=r.getrandbits(128))),
    "id with a prefix": lambda r: f"msg_{_digits(r, 16)}",
    "SHA-256": lambda r: _hex(r, 64),
    "IBAN": _iban,
    "time, ISO 8601": lambda r: (
        f"2026-{r.randint(1, 12):02}-{r.randint(1, 28):02} {r.randint(0, 23):02}:30:00.{_digits(r, 6)}"
    ),
    "time, milliseconds": lambda r: str(r.randint(1_600_000_000_000, 1_800_000_000_000)),
    "time, microseconds": lambda r: str(r.randint(1_600_000_000_000_000, 1_800_000_000_000_000)),
    "decimal fraction": lambda r: str(r.random()),
    "place on earth": lambda r: f"{-6 - r.random():.7f}, {106 + r.random():.7f}",
    "amount": lambda r: f"Rp {r.randint(1, 999)}.{_digits(r, 3)}.{_digits(r, 3)}.{_digits(r, 3)}.{_digits(r, 3)},00",
    "bank account, 10 digits": lambda r: _digits(r, 10),
    "16 digits of chance": lambda r: f"ref {_digits(r, 16)}",
}
KNOWN_MISSES: Mapping[str, Callable[[random.Random], str]] = {
    "card in words": lambda r: " ".join(WORDS[int(digit)] for digit in _visa(r)),
    "card across a line break": lambda r: _cut(_visa(r), (8, 8), "\n"),
    "card with slashes": lambda r: _cut(_visa(r), (4, 4, 4, 4), "/"),
    "card with two kinds of separators": lambda r: "-".join([_cut(_visa(r)[:8], (4, 4), " "), _visa(r)[8:]]),
}


def _visa(r: random.Random) -> str:
    return card(r, built_in().brands[0], 16)
