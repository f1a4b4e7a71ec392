"""The words of documents and code: no sentence uses a word that readers of the field stumble over (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import repository
from repository import ROOT


@dataclass(frozen=True, slots=True)
class PhraseRule:
    """A phrase that is not used."""

    pattern: str
    """Regular expression, in any case; a space stands for any blanks, line breaks included."""
    instead: str
    allowed: str = "(?!)"
    """What may stand nevertheless: regular expression that is searched in the line of the match."""


RULES = (
    PhraseRule(r"\btold\b", "reported, shown, informed"),
    PhraseRule(r"\bmine\b", "its own, or the name of the owner"),
    PhraseRule(r"\bheld\b", "stored, kept; `held` is a state", allowed=r"\blease|\blegal hold|\block|^ *held:"),
    PhraseRule(r"\b(?:whoever|nobody|somebody|anybody|everybody)\b", "a person who ..., no one, you cannot ..."),
    PhraseRule(r"\bso many\b", "the number"),
    PhraseRule(r"\b(?:is|are|was|were) none\b", "there is no ...", allowed=r"(?-i:\bis None\b)"),
    PhraseRule(r"(?<!there\s)(?<!there\s{3})\b(?:is|are) no (?!longer\b|more\b|one\b)\w", "is not a ..."),
    PhraseRule(r"\bof (?:ours|theirs|hers|his)\b", "our ..., their ..."),
    PhraseRule(r"\b(?:asked|tried) again\b", "retried"),
    PhraseRule(r"\blets? (?:\w+ ){1,4}pass\b", "allows"),
    PhraseRule(
        r"\b(?:another|each|every|this|that|which|the (?:other|first|last|next|new|old|same|only)) one\b"
        r"(?=[.,;:)]| (?:is|has|was|of|in|on|for|to|and|or|by|with|that|which|may|can|goes|comes|does)\b)",
        "the noun",
    ),
    PhraseRule(r"\bones\b", "the noun"),
)
"""Each phrase that is not used, and what to say. Code, in backticks or blocks, is not looked at."""

GENERATED = ("docs/cli.md",)
"""Pages that `make docs` writes from modules that are examined."""
FROM_CODE: Mapping[str, str] = {
    "docs/settings.md": r"^\| `PORTABILITY_",
    "docs/source-schema.md": r"\| (?:\*\*never\*\*|internal): ",
    "docs/trade-secrets.md": r"^\| \w+ \| \w+ \| ",
}
"""Lines of a page that other tests compare with the code, by page: their words are in Python files, too."""
DOCUMENTS = sorted({page.relative_to(ROOT).as_posix() for page in repository.files("*.md")} - {*GENERATED})
"""Pages that are written by hand."""

ROOMS = (
    "portability",
    "worker",
    "exporters",
    "formats",
    "archive",
    "receiver",
    "web",
    "cli",
    "demo",
    "bench",
    "conformance",
)
MADE_UP = ("portability/database/migrations/versions/", "demo/rows/", "demo/hostile.py", "bench/scan_corpus.py")
"""Modules of statements or made-up data: they are not examined."""
PHRASES = ("tests/test_english.py",)
"""This module contains the phrases."""
TESTS = ("tests", "docs/examples")


def test_a_phrase_that_is_not_used_is_found() -> None:
    """Every rule finds its phrase in text, also across a line break, and not in code."""
    text = "It is\ntold so.\n\n```\ntold\n```\n\n`told`, and whoever reads this is told.\n"

    assert list(faults(markdown(text))) == [(2, "told"), (8, "whoever"), (8, "told")]
    assert list(faults("There is no gap. It is no longer open. The lease is held by a worker.")) == []
    assert list(faults("It is\nno gap, it lets two rows pass, and the other one is none.")) == [
        (1, "is no g"),
        (2, "lets two rows pass"),
        (2, "the other one"),
        (2, "is none"),
    ]


def test_documents_use_the_words_of_the_field() -> None:
    """No hand-written page uses one of these phrases."""
    assert len(DOCUMENTS) > 100
    assert places(DOCUMENTS, lambda name: prose(ROOT / name)) == []


def test_a_phrase_is_found_in_every_text_of_a_module() -> None:
    """Docstrings, comments and messages are examined; names, keys, code in backticks and placeholders are not."""
    module = (
        '"""Whoever\nreads it."""\n'
        "held = 'told'  # a key\n"
        "# It is told, `told`.\n"
        "def say(held: str) -> str:\n"
        "    return f'{held} is known: nobody knows it'\n"
    )

    assert list(faults(python(module))) == [(1, "Whoever"), (4, "told"), (6, "nobody")]


@pytest.mark.parametrize("room", ROOMS)
def test_code_uses_the_words_of_the_field(room: str) -> None:
    """No docstring, comment or message of these rooms uses one of these phrases."""
    assert places(modules(room, without=MADE_UP), lambda name: prose(ROOT / name)) == []


def test_a_phrase_is_found_in_every_sentence_of_a_test() -> None:
    """Docstrings, comments and messages of assertions are examined; other strings are not."""
    module = (
        '"""It is told so."""\n'
        "KIND: str\n"
        '"""Nobody reads it."""\n'
        "def test() -> None:\n"
        '    """Held\n    by `nobody`, and mine."""\n'
        "    value = 'nobody has it'  # anybody has it\n"
        "    assert value == 'it is told é', f'the {value} is told'\n"
        "    pytest.fail('it was told')\n"
    )

    assert list(faults(sentences_of_test(module))) == [
        (1, "told"),
        (3, "Nobody"),
        (5, "Held"),
        (6, "mine"),
        (7, "anybody"),
        (8, "told"),
        (9, "told"),
    ]
    assert list(faults("NULL is None.")) == []


@pytest.mark.slow
@pytest.mark.parametrize("room", TESTS)
def test_tests_use_the_words_of_the_field(room: str) -> None:
    """No docstring, comment or message of a test uses one of these phrases.

    Other strings of tests are data: made-up values, scripts, and texts of the product, which are examined there.
    """
    found = places(modules(room, without=PHRASES), lambda name: sentences_of_test((ROOT / name).read_text()))

    assert found == []


def modules(room: str, *, without: tuple[str, ...]) -> list[str]:
    """The Python files of a room, without those whose paths begin so: at least one."""
    names = [path.relative_to(ROOT).as_posix() for path in repository.files("*.py", below=ROOT / room)]
    assert names
    return [name for name in names if not name.startswith(without)]


def places(names: Iterable[str], text_of: Callable[[str], str]) -> list[str]:
    """File, line and phrase of each match of a rule in some files."""
    return [f"{name}:{line}: {phrase}" for name in names for line, phrase in faults(text_of(name))]


def faults(text: str) -> Iterator[tuple[int, str]]:
    """Line and phrase of each match of a rule in a text, in the order of the text."""
    lines = text.splitlines()
    found = []
    for rule in RULES:
        for match in re.finditer(rule.pattern.replace(" ", r"\s+"), text, re.IGNORECASE):
            line = text.count("\n", 0, match.start())
            if not re.search(rule.allowed, lines[line], re.IGNORECASE):
                found.append((match.start(), line + 1, " ".join(match[0].split())))
    return ((line, phrase) for _place, line, phrase in sorted(found))


def prose(path: Path) -> str:
    """The sentences of a file, at their lines."""
    text = path.read_text()
    if pattern := FROM_CODE.get(path.relative_to(ROOT).as_posix()):
        text = "\n".join("" if re.search(pattern, line) else line for line in text.split("\n"))
    return SENTENCES[path.suffix](text)


def markdown(text: str) -> str:
    """A page without generated parts, code and addresses: each becomes `x`, and its line breaks stay."""
    for left_out in (r"<!-- generated.*?<!-- end -->", r"^```.*?^```", r"`[^`]*`", r"\]\([^)]*\)"):
        text = re.sub(left_out, lambda match: "`x`" + "\n" * match[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    return text


def sentences_of_test(source: str) -> str:
    """The comments of a test module, its docstrings and the messages of its assertions, at their lines."""
    return python(source, Places(*map(place_of, messages(ast.parse(source)))))


def messages(module: ast.Module) -> Iterator[ast.expr]:
    """Yield docstrings and the messages of `assert` and `pytest.fail`."""
    for node in ast.walk(module):
        match node:
            case ast.Expr(value=ast.Constant(value=str()) as text) | ast.Assert(msg=ast.expr() as text):
                yield text
            case ast.Call(func=ast.Attribute(value=ast.Name(id="pytest"), attr="fail"), args=[text, *_]):
                yield text


class Places:
    """Places in a module of which none is within another, each from a line and column to another."""

    def __init__(self, *places: tuple[int, int, int, int]) -> None:
        self._places = sorted(places)

    def __contains__(self, token: tokenize.TokenInfo) -> bool:
        """Whether a token begins in one of them. `ast` counts columns in bytes, `tokenize` in characters."""
        begin = token.start[0], len(token.line[: token.start[1]].encode())
        after = bisect_right(self._places, begin, key=lambda place: place[:2])
        return after > 0 and begin < self._places[after - 1][2:]


EVERYWHERE = Places((0, 0, sys.maxsize, 0))


def place_of(node: ast.expr) -> tuple[int, int, int, int]:
    return node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0


def python(source: str, examined: Places = EVERYWHERE) -> str:
    """The comments of a module and its strings of more than one word, at their lines; all else is left out.

    A string is examined only where it begins in one of the places.
    """
    lines = [""] * (source.count("\n") + 1)
    strings = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        is_text = token.type in strings and " " in token.string.strip()
        if token.type == tokenize.COMMENT or (is_text and token in examined):
            text = re.sub(r"\{[^{}]*\}|`[^`\n]*`", "x", token.string)
            for number, line in enumerate(text.splitlines(), token.start[0] - 1):
                lines[number] += f"{line.strip()}  "
    return "\n".join(lines)


SENTENCES: Mapping[str, Callable[[str], str]] = {".md": markdown, ".py": python}
"""How the sentences of a file are found, by its ending."""
