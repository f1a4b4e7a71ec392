"""One design: the values, their contrast, and the style sheets and mails that name no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import repository

from portability import design
from portability.messages import letters
from portability.messages.outbox import MessageKind

SHEETS = {
    str(path.relative_to(repository.ROOT)): path
    for room in repository.PACKAGES
    for path in repository.files("*.css", below=repository.ROOT / room)
}
RULE = re.compile(r"(?:^|[{};])\s*([^{};@]+)\{([^{}]*)\}")
DECLARATION = re.compile(r"([a-z-]+): ([^;]+)")
SPACED = re.compile(r"(?:scroll-)?(?:padding|margin)(?:-[a-z]+)*|(?:row-|column-)?gap")
"""Properties that take a space."""
ABSOLUTE = re.compile(r"(?<![\w.-])\d*\.?\d+(?:rem|pt)\b")
LITERAL = re.compile(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(|\b(?:black|white|red|gray|grey)\b")
VARIABLE = re.compile(r"var\(--([\w-]+)\)")
NAMES = {*design.COLOURS, *design.SHADOWS, *design.SPACES, *design.TYPE, *design.RADII}


def declarations(sheet: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each rule with its declarations, without comments."""
    text = re.sub(r"/\*.*?\*/", "", SHEETS[sheet].read_text(), flags=re.DOTALL)
    for selector, body in RULE.findall(text):
        yield selector.strip(), dict(DECLARATION.findall(body))


def test_contrast_is_that_of_the_standard() -> None:
    """WCAG 2.2: black on white has 21, a colour with itself 1; the order does not matter."""
    assert design.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert (
        design.contrast("#777777", "#ffffff") == design.contrast("#ffffff", "#777777") == pytest.approx(4.48, abs=0.01)
    )
    assert design.contrast("#123456", "#123456") == 1


@pytest.mark.parametrize("colours", [design.LIGHT, design.DARK], ids=["light", "dark"])
def test_text_can_be_read_on_each_ground(colours: dict[str, str]) -> None:
    """4.5 for text, 3 for edges and figures (WCAG 2.2, 1.4.3 and 1.4.11, level AA), on light and on dark screens."""
    pairs = [(text, ground, 4.5) for ground, texts in design.TEXT_ON.items() for text in texts]
    pairs += [(edge, ground, 3.0) for ground, edges in design.EDGES_ON.items() for edge in edges]

    assert len(pairs) > 40
    assert [pair for pair in pairs if design.contrast(colours[pair[0]], colours[pair[1]]) < pair[2]] == []


@pytest.mark.parametrize("sheet", SHEETS)
def test_each_pair_of_a_style_sheet_is_one_that_can_be_read(sheet: str) -> None:
    """A rule that sets text and ground sets a pair of the table, and text in a colour can be read on page and card."""
    unknown = []
    for selector, given in declarations(sheet):
        text = VARIABLE.search(given.get("color", ""))
        ground = VARIABLE.fullmatch(given.get("background", ""))
        on = [ground[1]] if ground else ["on"] if text and text[1] == "on" else ["paper", "card"]
        if text and on != ["on"]:
            unknown += [(selector, text[1], each) for each in on if text[1] not in design.TEXT_ON.get(each, ())]

    assert unknown == []


@pytest.mark.parametrize("sheet", SHEETS)
def test_a_style_sheet_has_no_value_of_its_own(sheet: str) -> None:
    """Colours, shadows, fonts, sizes of text, radii and spaces are variables, and each variable is declared."""
    own = []
    for selector, given in declarations(sheet):
        for name, value in given.items():
            spaced = SPACED.fullmatch(name) or name == "font-size" or name.endswith("radius")
            faults = LITERAL.findall(value) + (ABSOLUTE.findall(value) if spaced else [])
            faults += [each for each in VARIABLE.findall(value) if each not in NAMES]
            own += [(selector, name, fault) for fault in faults]

    assert own == []


def test_the_style_sheets_are_those_of_pages_viewer_and_archive() -> None:
    """These tests read each style sheet of the product."""
    assert SHEETS.keys() == {
        "archive/viewer/static/style.css",
        "archive/write/templates/readme.css",
        "web/static/components.css",
        "web/static/style.css",
    }


def test_every_value_is_used() -> None:
    """By a style sheet or a mail: a value that nothing names is removed."""
    text = "".join(path.read_text() for path in SHEETS.values())
    mail = Path(letters.__file__).with_name("letter.html").read_text()

    assert {name for name in NAMES if f"var(--{name})" not in text and f'"{name}"' not in mail} == set()


def test_printed_pages_are_light() -> None:
    """Paper is white: the values of dark screens are for screens."""
    assert design.STYLE.count("@media screen and (prefers-color-scheme: dark)") == 1
    assert design.STYLE.startswith(":root {\n  color-scheme: light dark;\n  --paper: #f7f8fb;\n")
    assert design.STYLE.endswith("  --shadow: none;\n} }\n")


def test_a_mail_has_the_values_themselves() -> None:
    """Those of light screens in its elements, those of dark screens in its style; with the colours of the brand."""
    looks: letters.LetterLooks = {"contact": None, "brand": "Acme", "colour": "#0a7d33", "dark_colour": "#7ddba4"}
    html = letters.write(MessageKind.READY, "en", {"id": "a", "until": "U"}, url="https://x.example", **looks).html

    allowed = {*design.LIGHT.values(), *design.DARK.values(), "#0a7d33", "#7ddba4"}
    assert set(re.findall(r"#[0-9a-f]{6}\b", html)) <= allowed
    assert "background:#0a7d33;color:#ffffff" in html
    assert ".button { background: #7ddba4 !important; color: #10131a !important; }" in html
    assert "var(" not in html


def test_sizes_for_mail_programs_are_pixels() -> None:
    """1 rem is 16 px."""
    assert [design.pixels(name) for name in ("space-1", "space-7", "round", "text-4")] == [
        "2px",
        "16px",
        "14px",
        "15px",
    ]
