"""Sentences for people by code: gettext catalogues, one folder a language, one file a place where they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from babel import Locale
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from portability.api.errors import PortabilityError
from portability.locale.isolation import isolated
from portability.locale.plugin_catalogues import catalogues

SOURCE = "en"
"""The language that sentences are written in first, and the one shown where a translation is missing."""
FOLDER = Path(__file__).parent
DATA = "data"
"""The catalogue of datasets and fields, which plug-ins extend by theirs."""
FORMER = {"in": "id"}
"""Tags that ISO 639 has replaced and that programs still send; Java wrote Indonesian so."""


class UnknownText(PortabilityError):
    """No catalogue has a sentence of this code."""

    code = "unknown_text"


@cache
def languages() -> tuple[str, ...]:
    """Return the tags (BCP 47) of all languages that have a folder, the source language first."""
    tags = sorted(path.name for path in FOLDER.iterdir() if any(path.glob("*.po")))
    return (SOURCE, *(tag for tag in tags if tag != SOURCE))


def text(language: str, code: str, /, **values: object) -> str:
    """Return the sentence of a code with its `{name}` placeholders filled in.

    Args:
        language: one of `languages()`; any other reads as SOURCE.
        code: `<catalogue>.<name>`, such as `mail.ready.subject`.
        values: what the placeholders stand for; texts are names or the like, and are kept apart (isolation.py).

    Raises: UnknownText.
    """
    found = find(language, code)
    if found is None:
        raise UnknownText(f"no sentence has the code {code!r}", hint=f"add it to locale/{SOURCE}")
    return filled(found, values) if values else found


def filled(sentence: str, values: Mapping[str, object]) -> str:
    """Fill the placeholders of a sentence in; texts change neither its order nor its lines."""
    return sentence.format_map({name: isolated(v) if type(v) is str else v for name, v in values.items()})


def find(language: str, code: str) -> str | None:
    """Return the sentence of a code as it is stored; None where neither the language nor SOURCE has it."""
    domain, _, name = code.partition(".")
    return _sentences(language, domain).get(name) or _sentences(SOURCE, domain).get(name)


def translated(language: str, code: str, source: str) -> str:
    """Return the translation of a text that its author wrote in SOURCE; the text itself where it has no translation."""
    return translation(language, code, source) or source


def translation(language: str, code: str, source: str) -> str:
    """Return the translation of a text of SOURCE; empty where it has none. An empty text is not compared.

    A company's source may have the name of a built-in one, such as `crm/contacts`: a sentence that translates another
    text is left out.
    """
    domain, _, name = code.partition(".")
    of = _translated_texts(language, domain).get(name, "")
    if of and source and of != _without_blanks(source):
        return ""
    return _sentences(language, domain).get(name, "")


def sentences(language: str, domain: str) -> Mapping[str, str]:
    """Return all sentences of a catalogue by name, each in the language or else in SOURCE."""
    return {**_sentences(SOURCE, domain), **_sentences(language, domain)}


def section(language: str, prefix: str) -> Mapping[str, str]:
    """Return the sentences whose codes begin with `<prefix>.`, by the rest of the code."""
    domain, _, rest = prefix.partition(".")
    return {
        name.removeprefix(f"{rest}."): sentence
        for name, sentence in sentences(language, domain).items()
        if name.startswith(f"{rest}.")
    }


def nearest(tags: Iterable[str]) -> str:
    """Return the first of `languages()` that a tag means, in the order of the tags; else SOURCE.

    A tag that has no folder means the folder of its beginning: `de-AT` reads `de` (lookup of RFC 4647, 3.4).
    """
    known = {language.lower(): language for language in languages()}
    for tag in tags:
        subtags = tag.strip().lower().replace("_", "-").split("-")
        subtags[0] = FORMER.get(subtags[0], subtags[0])
        for length in range(len(subtags), 0, -1):
            if found := known.get("-".join(subtags[:length])):
                return found
    return SOURCE


@cache
def own_name(language: str) -> str:
    """Return what a language calls itself, such as `Bahasa Indonesia` or `Deutsch`.

    Its catalogue `pages` may say so (`own_name`): CLDR has `Indonesia`, which is also the country.
    """
    if name := _sentences(language, "pages").get("own_name"):
        return name
    named = Locale.parse(language, sep="-")
    name = str(named.get_display_name(named))
    return name[:1].upper() + name[1:]


@cache
def _sentences(language: str, domain: str) -> Mapping[str, str]:
    found = {str(message.id): str(message.string) for message in _own(language, domain)}
    for catalogue in catalogues(language, domain) if domain == DATA else ():
        found |= {str(message.id): str(message.string) for message in _translated(catalogue)}
    return found


@cache
def _translated_texts(language: str, domain: str) -> Mapping[str, str]:
    """Return what built-in sentences about data translate, by name: `make locale` writes it above each.

    A package is free to write other comments, and describes its own exporters.
    """
    if domain != DATA:
        return {}
    found = {str(message.id): _without_blanks("".join(message.auto_comments)) for message in _own(language, domain)}
    for catalogue in catalogues(language, domain):
        found |= {str(message.id): "" for message in _translated(catalogue)}
    return found


@cache
def _own(language: str, domain: str) -> tuple[Message, ...]:
    """Return the messages of a built-in catalogue."""
    path = FOLDER / language / f"{domain}.po"
    if language not in languages() or not path.exists():
        return ()
    with path.open("rb") as file:
        return tuple(_translated(read_po(file, locale=language)))


def _translated(catalogue: Catalog) -> Iterator[Message]:
    return (message for message in catalogue if message.id and message.string and not message.fuzzy)


def _without_blanks(sentence: str) -> str:
    """Return a text as it is compared: a comment has line ends where the text has blanks, or nothing."""
    return "".join(sentence.split())
