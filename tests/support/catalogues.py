"""Bring the catalogues of sentences in step with their sources; `make locale` runs it, tests/test_locale.py compares.

    python tests/support/catalogues.py [LANGUAGE ...]

A catalogue has each code of its source, in the order of the source, with the source text in the comment above. A code
that is new is added without a translation, unless another code of the catalogue has the same source text. A translation
whose source text changed is marked `fuzzy`, and the text that it translates stands after `was:`. Codes that have gone
are removed. The same input makes the same bytes: no file has a date or a version in it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po
from pydantic import BaseModel

from portability.api import TitledExporter
from portability.law import notice
from portability.law.notice.entries import Text
from portability.locale import FOLDER, SOURCE, languages
from portability.plugins import load_exporters
from portability.settings import load_settings
from portability.sources import PlatformSources

HEAD = """\
# Sentences by code: docs/languages.md. `make locale` keeps this file in step.
msgid ""
msgstr ""
"Language: {language}\\n"
"Plural-Forms: {plural_forms}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""
FUZZY = "fuzzy"
WAS = "was: "
"""Begins the comment with the source text that a fuzzy translation translates."""
IN_CODE = ("data", "notice")
"""Catalogues whose source texts stand beside what they describe, and not in the folder of the source language."""

Sources = Mapping[str, str]
"""Source texts of one catalogue by code, in the order of the files."""


def domains() -> tuple[str, ...]:
    """Return the names of all catalogues that a language has."""
    return tuple(sorted({*IN_CODE, *(path.stem for path in (FOLDER / SOURCE).glob("*.po"))}))


def sources(domain: str) -> Sources:
    """Return the source texts of a catalogue."""
    if domain in IN_CODE:
        return dict(_data() if domain == "data" else _notice())
    return {str(message.id): str(message.string) for message in _messages(SOURCE, domain)}


def path(language: str, domain: str) -> Path:
    """Return the file of a catalogue."""
    return FOLDER / language / f"{domain}.po"


def in_step(language: str, domain: str, texts: Sources) -> str:
    """Return the catalogue as its file has to be.

    Args:
        language: the tag (BCP 47) that is the name of its folder.
        domain: the name of the catalogue.
        texts: the source texts of that catalogue, see `sources`.
    """
    locale = Locale.parse(language, sep="-")
    kept = {str(message.id): message for message in _messages(language, domain)}
    known = _by_source(kept.values())
    catalogue = Catalog(locale=locale)
    for code, source in texts.items():
        catalogue[code] = _message(code, source, kept.get(code), known) if language != SOURCE else kept[code]
    buffer = BytesIO()
    write_po(buffer, catalogue, width=0, omit_header=True)
    return HEAD.format(language=language, plural_forms=catalogue.plural_forms) + buffer.getvalue().decode()


def source_of(message: Message) -> str:
    """Return the source text that stands above a translation, in one line."""
    return " ".join(" ".join(message.auto_comments).split())


def written(language: str, domain: str) -> Catalog:
    """Return the catalogue of a file; an empty one where there is no file."""
    file = path(language, domain)
    return read_po(BytesIO(file.read_bytes())) if file.exists() else Catalog()


def _messages(language: str, domain: str) -> Iterator[Message]:
    return (message for message in written(language, domain) if message.id)


def _by_source(messages: Iterable[Message]) -> Mapping[str, str]:
    """Return the translation of each source text that has exactly one."""
    found: dict[str, set[str]] = {}
    for message in messages:
        if message.string and not message.fuzzy:
            found.setdefault(_joined(source_of(message)), set()).add(str(message.string))
    return {source: next(iter(those)) for source, those in found.items() if len(those) == 1}


def _message(code: str, source: str, kept: Message | None, known: Mapping[str, str]) -> Message:
    above = [" ".join(source.split())]
    if kept is None or not kept.string:
        return Message(code, known.get(_joined(source), ""), auto_comments=above)
    remarks = [comment for comment in kept.user_comments if not comment.startswith(WAS)]
    if _joined(source) == _joined(source_of(kept)):
        remarks = kept.user_comments if kept.fuzzy else remarks
        return Message(code, kept.string, flags=kept.flags, auto_comments=above, user_comments=remarks)
    was = [comment for comment in kept.user_comments if kept.fuzzy and comment not in remarks]
    remarks += was or [WAS + source_of(kept)]
    return Message(code, kept.string, flags={FUZZY}, auto_comments=above, user_comments=remarks)


def _joined(source: str) -> str:
    """Return a text without white space: comments are wrapped, and paragraphs have become one."""
    return "".join(source.split())


def _data() -> Iterator[tuple[str, str]]:
    """Yield code and text of every exporter and dataset, of fields and of what is withheld, then heads of columns."""
    columns: set[str] = set()
    exporters = load_exporters(PlatformSources(load_settings()))
    yield from (
        (f"exporters.{name}.title", one.title) for name, one in exporters.items() if isinstance(one, TitledExporter)
    )
    for name, exporter in exporters.items():
        for dataset in exporter.datasets:
            columns |= {field.name for field in dataset.fields}
            code = f"{name}/{dataset.name}"
            yield f"{code}.title", dataset.title
            yield f"{code}.description", dataset.description
            yield from ((f"{code}.fields.{field.name}", field.description) for field in dataset.fields)
            for field in dataset.fields:
                yield from ((f"{code}.values.{field.name}.{one.value}", one.label) for one in field.values)
            for withheld in dataset.withheld:
                yield f"{code}.withheld.{withheld.name}.what", withheld.what
                yield f"{code}.withheld.{withheld.name}.reason", withheld.reason
    yield from ((f"columns.{field}", field.replace("_", " ").capitalize()) for field in sorted(columns))


def _notice() -> Iterator[tuple[str, str]]:
    """Yield code and text of everything in the built-in notice register.

    The name of an organisation is to be translated only if some language translates it, such as that of an authority.
    """
    named = {str(message.id) for language in languages() for message in _messages(language, "notice")}
    for code, text in _texts("", notice.load()):
        if not code.endswith(".name") or code in named:
            yield code, text


def _texts(code: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Text):
        yield code, value.read(SOURCE)
    elif isinstance(value, BaseModel | Mapping):
        for name, part in value.items() if isinstance(value, Mapping) else value:
            yield from _texts(f"{code}.{name}" if code else name, part)


def write_catalogues(wanted: list[str]) -> int:
    """Write the catalogues of the languages given, or else of all; a language without a folder gets one."""
    for language in wanted or languages():
        try:
            Locale.parse(language, sep="-")
        except (ValueError, UnknownLocaleError) as error:
            sys.stderr.write(f"error: {language!r} is not a language that Babel knows: {error}\n")
            return 2
    for domain in domains():
        texts = sources(domain)
        for language in wanted or languages():
            if language != SOURCE or domain not in IN_CODE:
                path(language, domain).parent.mkdir(exist_ok=True)
                path(language, domain).write_text(in_step(language, domain, texts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(write_catalogues(sys.argv[1:]))
