"""Brand: the colours and the mark of a deployment, checked before they are shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from xml.etree import ElementTree as ET

from portability.design import COLOURS, CONTRAST_MIN, channels, contrast

NAME = "Portability"
"""Of a deployment that has set none."""
LIGHT, DARK = COLOURS["accent"]
"""The accent on light and on dark pages where none is set."""
PAPER, DARK_PAPER = COLOURS["paper"][0], COLOURS["card"][1]
"""Of the grounds that the accent stands on, those with the least contrast."""
CARD, DARK_CARD = COLOURS["card"]
"""What a tint is mixed with."""
TINT, DARK_TINT = 0.09, 0.18
TINT_STEPS = 10
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
MARK_BYTES_MAX = 64 * 1024
MARK_LETTERS_MAX = 3
PNG = b"\x89PNG\r\n\x1a\n"
ACTIVE = frozenset({"script", "foreignobject", "iframe", "image", "feimage", "style", "animate", "set", "a", "use"})
"""Elements that run, load or lead somewhere; a mark needs none of them."""


@dataclass(frozen=True, slots=True)
class Mark:
    """An image that browsers show beside the name."""

    content: bytes
    media_type: str


def check_colour(colour: str, paper: str) -> str:
    """Return the colour in lower case. Raises ValueError where it is not `#rrggbb` or cannot be read on the paper."""
    if not COLOUR.fullmatch(colour):
        raise ValueError("needs a colour as #rrggbb: #2447b2")
    if (seen := contrast(colour, paper)) < CONTRAST_MIN:
        raise ValueError(
            f"has a contrast of {seen:.1f} with the page ({paper}); text needs {CONTRAST_MIN} (WCAG 2.2, 1.4.3)"
        )
    return colour.lower()


def accent_style(light: str, dark: str) -> str:
    """Return the rule that gives a page the accent; empty for the colours that the design has already."""
    if (light, dark) == (LIGHT, DARK):
        return ""
    on_light = f"--accent: {light}; --tint: {_tint(light, CARD, TINT)}"
    on_dark = f"--accent: {dark}; --tint: {_tint(dark, DARK_CARD, DARK_TINT)}"
    return f":root {{ {on_light}; }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {on_dark}; }} }}\n"


def check_mark(text: str) -> str:
    """Check a mark: up to three letters, or the path of an SVG or PNG file. Raises ValueError."""
    read_mark(text, LIGHT)
    return text


def read_mark(text: str, colour: str) -> Mark:
    """Return the image of a mark: the file's, or one with the letters on the colour. Raises ValueError."""
    if Path(text).suffix.lower() not in {".svg", ".png"}:
        return _lettered(text, colour)
    try:
        content = Path(text).read_bytes()
    except OSError as error:
        raise ValueError(f"{text} cannot be read: {error.strerror}") from None
    if len(content) > MARK_BYTES_MAX:
        raise ValueError(f"{text} has more than {MARK_BYTES_MAX // 1024} KiB")
    if text.lower().endswith(".png"):
        if not content.startswith(PNG):
            raise ValueError(f"{text} is not a PNG image")
        return Mark(content, "image/png")
    _check_svg(text, content)
    return Mark(content, "image/svg+xml")


def _lettered(text: str, colour: str) -> Mark:
    if not 0 < len(text) <= MARK_LETTERS_MAX or not text.isprintable() or text.isspace():
        raise ValueError("needs one to three letters, or the path of a .svg or .png file")
    size = 20 - 4 * (len(text) - 1)
    image = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        f'<rect width="32" height="32" rx="9" fill="{colour}"/>'
        f'<text x="16" y="16" dy=".36em" text-anchor="middle" font-family="system-ui, sans-serif" font-weight="700"'
        f' font-size="{size}" fill="#fff">{escape(text)}</text></svg>'
    )
    return Mark(image.encode(), "image/svg+xml")


def _check_svg(path: str, content: bytes) -> None:
    if b"<!doctype" in content.lower() or b"<!entity" in content.lower():
        raise ValueError(f"{path} declares a document type or entities: remove them")
    try:
        root = ET.fromstring(content)  # noqa: S314  # without a document type there is nothing to expand
    except (ET.ParseError, ValueError, LookupError):
        raise ValueError(f"{path} is not an SVG image") from None
    if _local(root.tag) != "svg":
        raise ValueError(f"{path} is not an SVG image")
    for element in root.iter():
        name = _local(element.tag)
        if name in ACTIVE:
            raise ValueError(f"{path} has the element <{name}>: a mark may not run, load or link to anything")
        for attribute, value in element.attrib.items():
            plain = _local(attribute)
            leads_away = plain == "href" or re.search(r"url\s*\(\s*['\"]?(?!\s*#)", value, re.IGNORECASE)
            if plain.startswith("on") or leads_away:
                raise ValueError(f"{path} has the attribute {plain}: a mark may not run, load or link to anything")


def _local(name: object) -> str:
    """The name without its namespace, in lower case; of comments and instructions nothing."""
    return name.rpartition("}")[2].lower() if isinstance(name, str) else ""


def _tint(accent: str, card: str, share: float) -> str:
    """Return a card with a share of the accent: the whole share, or less of it where the accent could not be read."""
    tints = (_mixed(accent, card, share * step / TINT_STEPS) for step in range(TINT_STEPS, 0, -1))
    return next((tint for tint in tints if contrast(accent, tint) >= CONTRAST_MIN), card)


def _mixed(colour: str, paper: str, share: float) -> str:
    mixed = (round(a * share + b * (1 - share)) for a, b in zip(channels(colour), channels(paper), strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)
