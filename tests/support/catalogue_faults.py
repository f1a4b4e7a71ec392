"""Find what is wrong with a translation: tests/test_locale.py wants no fault, and docs/languages.md explains each."""

from __future__ import annotations

import re
from collections.abc import Iterator

import catalogues
from babel.messages.catalog import Message

PLACEHOLDER = re.compile(r"\{[^{}]*\}")
KEPT = re.compile(
    r"`[^`]+`|\b[a-z]+/[a-z]+\b|\b[a-z]+_[a-z_]+\b|\bnull\b|E\.164|ISO \d+|RFC \d+|BCP 47|SHA-256|vCon|UTC"
)
"""What a translation has as its source has it: names of data, codes, standards."""
SAME = "same: "
"""Begins the comment that says why a translation reads as its source, such as a name or a word of both languages."""


def translation_faults(language: str, domain: str) -> list[str]:
    """Return the faults of a catalogue, each as `<language>/<domain> <code>: what is wrong`."""
    texts = catalogues.sources(domain)
    found = {str(message.id): message for message in catalogues.written(language, domain) if message.id}
    gone = [f"{code}: the source has no such code" for code in found.keys() - texts.keys()]
    missing = [f"{code}: no translation" for code in texts.keys() - found.keys()]
    wrong = [
        f"{code}: {fault}" for code, message in found.items() if code in texts for fault in _of(message, texts[code])
    ]
    return [f"{language}/{domain} {fault}" for fault in sorted([*gone, *missing, *wrong])]


def _of(message: Message, source: str) -> Iterator[str]:
    text = str(message.string)
    if not text.strip():
        yield "no translation"
        return
    if message.fuzzy:
        yield "the source changed since it was translated: check it, and remove `fuzzy`"
    if sorted(PLACEHOLDER.findall(text)) != sorted(PLACEHOLDER.findall(source)):
        yield f"its placeholders are not {sorted(PLACEHOLDER.findall(source))}"
    if lost := [word for word in KEPT.findall(PLACEHOLDER.sub("", source)) if word not in text]:
        yield f"it lacks {lost}"
    if source.endswith(".") is not text.endswith("."):
        yield "one of source and translation ends with a full stop"
    if source.count("\n\n") != text.count("\n\n"):
        yield "it has not as many paragraphs as its source"
    reasons = [comment for comment in message.user_comments if comment.startswith(SAME.strip())]
    if text == source and any(map(str.isalpha, PLACEHOLDER.sub("", source))):
        if not any(comment.removeprefix(SAME.strip()).strip() for comment in reasons):
            yield f"it reads as its source: translate it, or say why in a comment `# {SAME}...`"
    elif reasons:
        yield f"it does not read as its source: remove the comment `# {SAME}...`"
