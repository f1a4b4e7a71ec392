"""What the pages say, in English and Indonesian: phrases/*.toml, dates, sizes and spans of time."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path

LANGUAGES = ("en", "id")

MONTHS = {
    "en": "January February March April May June July August September October November December",
    "id": "Januari Februari Maret April Mei Juni Juli Agustus September Oktober November Desember",
}

PHRASES = {
    language: tomllib.loads((Path(__file__).parent / "phrases" / f"{language}.toml").read_text("utf-8"))
    for language in LANGUAGES
}

UNITS = {
    "en": {"days": "{} d", "hours": "{} h", "minutes": "{} min"},
    "id": {"days": "{} hari", "hours": "{} jam", "minutes": "{} mnt"},
}


def phrase(language: str, name: str, **values: object) -> str:
    """The phrase of a name; an unknown one stands for itself: a plugin's part or a new event is no broken page."""
    known = PHRASES[language].get(name)
    if known is None:
        return name.partition("_")[2].replace("_", " ")
    return str(known).format(**values)


def date(language: str, moment: datetime) -> str:
    """`25 November 2026`."""
    return f"{moment.day} {MONTHS[language].split()[moment.month - 1]} {moment.year}"


def moment(language: str, at: datetime) -> str:
    """`25 November 2026, 17:45 UTC`."""
    at = at.astimezone(UTC)
    return f"{date(language, at)}, {at:%H:%M} UTC"


def size(count: int) -> str:
    """`3.4 MB`, as download pages tell it."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):  # noqa: B007  # the last unit is used after the loop
        if value < 1000:  # noqa: PLR2004  # SI units
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"  # noqa: PLR2004  # two digits are enough


def span(language: str, seconds: float) -> str:
    """How long, in the largest unit that fits: `2 d`."""
    minutes = int(abs(seconds) // 60)
    for name, length in (("days", 1440), ("hours", 60)):
        if minutes >= length:
            return UNITS[language][name].format(minutes // length)
    return UNITS[language]["minutes"].format(minutes)


def chosen(accepted: str) -> str:
    """The first language of an Accept-Language header that we speak."""
    for part in accepted.split(","):
        name = part.split(";")[0].strip().lower()[:2]
        if name in LANGUAGES:
            return name
    return LANGUAGES[0]
