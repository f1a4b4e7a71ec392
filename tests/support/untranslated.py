"""Find sentences of the source language on a page that is shown in another language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from html.parser import HTMLParser

from catalogue_faults import PLACEHOLDER
from catalogues import domains, sources, written

PART_LETTERS = 25
"""A sentence of as many letters counts as left where it is a part of a text, too; a shorter one only as the whole."""
SILENT = frozenset({"script", "style", "template"})
SPOKEN = ("alt", "aria-label", "placeholder", "title")
INLINE = frozenset({"code", "strong", "b", "em", "i", "span", "a", "small"})
MARKS = re.compile(r"`|\*\*")
"""What becomes <code> and <strong>."""
VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "source", "wbr", "area", "base", "col", "embed", "track"})


def texts_of(page: str, language: str) -> list[str]:
    """Return the texts of an HTML page that are in a language by `lang`: nodes, whole blocks, spoken attributes.

    What is in <code> is of no language, but as a part of its block.
    """
    reader = _Texts(language)
    reader.feed(page)
    reader.close()
    return [*dict.fromkeys(_in_one_line(text) for text in reader.found if text.strip())]


def left_in_source(texts: Iterable[str], language: str) -> list[str]:
    """Return those texts that have a sentence of the source language where the language has another sentence."""
    whole, parts = _patterns(language)
    return [text for text in texts if whole.fullmatch(text) or parts.search(text)]


@cache
def _patterns(language: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return a pattern of whole texts and one of parts."""
    own = {_in_one_line(str(message.string)) for domain in domains() for message in written(language, domain)}
    found = {sentence for sentence in _source_sentences() if sentence not in own}
    long = [sentence for sentence in found if _letters(sentence) >= PART_LETTERS]
    return _any_of(found), _any_of(long)


def _source_sentences() -> Iterator[str]:
    for domain in domains():
        for text in sources(domain).values():
            for paragraph in text.split("\n\n"):
                sentence = _in_one_line(paragraph)
                if _letters(sentence) > 1:
                    yield sentence


def _in_one_line(text: str) -> str:
    return " ".join(MARKS.sub("", text).split())


def _letters(sentence: str) -> int:
    return sum(map(str.isalpha, PLACEHOLDER.sub("", sentence)))


def _any_of(sentences: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(_pattern(sentence) for sentence in sorted(sentences)) or r"(?!)")


def _pattern(sentence: str) -> str:
    return ".+?".join(re.escape(part) for part in PLACEHOLDER.split(sentence))


class _Texts(HTMLParser):
    """Collects texts by the nearest `lang` above them."""

    def __init__(self, language: str) -> None:
        super().__init__(convert_charrefs=True)
        self.language = language
        self.found: list[str] = []
        self._open: list[tuple[str, str]] = []
        self._block: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named: Mapping[str, str | None] = dict(attrs)
        # Names that no catalogue has, such as those of countries in CLDR, are not translated further.
        spoken = "" if named.get("translate") == "no" else (named.get("lang") or self._spoken()).partition("-")[0]
        self._end_block(tag)
        if tag not in VOID:
            self._open.append((tag, spoken))
        if spoken == self.language:
            self.found += [text for name in SPOKEN if (text := named.get(name))]

    def handle_endtag(self, tag: str) -> None:
        self._end_block(tag)
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        above = {tag for tag, _ in self._open}
        if self._spoken() == self.language and not SILENT & above:
            self._block.append((data, "code" in above))

    def close(self) -> None:
        super().close()
        self._end_block("html")

    def _end_block(self, tag: str) -> None:
        if tag not in INLINE:
            spoken = [text for text, is_code in self._block if not is_code]
            whole = "".join(text for text, _ in self._block)
            self.found += [*spoken, whole] if "".join(spoken).strip() else []
            self._block.clear()

    def _spoken(self) -> str:
        return self._open[-1][1] if self._open else ""
