"""Conversations of customers and companies, in Indonesian and English: scripts with blanks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

from demo.scripts import GREETINGS, PRODUCTS, SCRIPTS, THANKS, Script

Speaker: TypeAlias = Literal["agent", "customer"]

MONTHS = {
    "en": "January February March April May June July August September October November December".split(),  # noqa: SIM905  # a list of twelve words is easier to read this way
    "id": "Januari Februari Maret April Mei Juni Juli Agustus September Oktober November Desember".split(),  # noqa: SIM905  # as above
}


@dataclass(frozen=True, slots=True)
class ScriptLine:
    """One spoken or written line."""

    speaker: Speaker
    text: str


@dataclass(frozen=True, slots=True)
class Talk:
    """A whole conversation and its topic."""

    language: str
    subject: str
    summary: str
    intent: str
    sentiment: str
    lines: tuple[ScriptLine, ...]


def make_talk(random: Random, language: str, *, customer: str, company: str, city: str, lines_min: int = 0) -> Talk:
    """Make a conversation of at least `lines_min` lines; a longer one continues with further topics."""
    scripts = SCRIPTS[language]
    first = random.choice(scripts)
    blanks = _blanks(random, language, customer=customer, company=company, city=city)
    spoken_lines = [ScriptLine("agent", random.choice(GREETINGS[language]).format_map(blanks)), *_lines(first, blanks)]
    while len(spoken_lines) + 2 < lines_min:
        spoken_lines += _lines(
            random.choice(scripts), _blanks(random, language, customer=customer, company=company, city=city)
        )
    thanks, goodbye = random.choice(THANKS[language])
    spoken_lines += [ScriptLine("customer", thanks.format_map(blanks)), ScriptLine("agent", goodbye.format_map(blanks))]
    return Talk(
        language=language,
        subject=first.subject.format_map(blanks),
        summary=first.summary.format_map(blanks),
        intent=first.intent,
        sentiment=first.sentiment,
        lines=tuple(spoken_lines),
    )


def _lines(script: Script, blanks: Mapping[str, str]) -> list[ScriptLine]:
    """Return a script's lines: it begins with the customer; then `>` (agent) and `<` (customer) give the speaker."""
    return [ScriptLine("agent" if line[0] == ">" else "customer", line[2:].format_map(blanks)) for line in script.lines]


def _blanks(random: Random, language: str, *, customer: str, company: str, city: str) -> dict[str, str]:
    date = f"{random.randint(1, 28)} {random.choice(MONTHS[language])}"
    thousands = random.randint(45, 4_800)
    amount = f"Rp{thousands:,}.000".replace(",", ".") if language == "id" else f"£{thousands / 10:,.2f}"
    return {
        "name": customer.split(maxsplit=1)[0],
        "full_name": customer,
        "agent": random.choice(("Ayu", "Bima", "Citra", "Dewi", "Grace", "Oliver", "Priya", "Tom")),
        "company": company,
        "city": city,
        "order": f"{random.choice('ABKS')}{random.randint(10_000, 99_999)}",
        "product": random.choice(PRODUCTS[language]),
        "amount": amount,
        "date": date,
        "hour": f"{random.randint(8, 17)}{'.00' if language == 'id' else ':00'}",
    }
