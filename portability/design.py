"""Design: the values that all styles share, for pages, mails and the pages of archives, on light and dark screens.

A style sheet has no value of its own for a colour, a space, a size of text, a radius or a shadow: it names one of these
as `var(--name)`. Mails have the values themselves, since many mail programs read no variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COLOURS: Final[Mapping[str, tuple[str, str]]] = {
    # name: (on light screens, on dark screens)
    "paper": ("#f7f8fb", "#10131a"),  # the ground of a page
    "card": ("#ffffff", "#181d27"),
    "line": ("#e1e5ee", "#2b3342"),
    "ink": ("#1d2433", "#e7eaf2"),
    "soft": ("#566076", "#a3adc2"),  # text beside the main text, and the edges of fields
    "accent": ("#2447b2", "#9db5ff"),  # links, buttons, bars
    "on": ("#ffffff", "#10131a"),  # text on `accent` and on `bad`
    "tint": ("#eaeffc", "#202a45"),
    "good": ("#12683a", "#7ddba4"),
    "good-tint": ("#e6f4ec", "#16291f"),
    "warn": ("#8a4b00", "#f2b872"),
    "warn-tint": ("#fdf2e2", "#2e2414"),
    "bad": ("#a3212f", "#ff9aa5"),
    "bad-tint": ("#fbeaec", "#331a1f"),
    "theirs": ("#eef0f5", "#232a37"),  # what another person has said, in a conversation
}
SHADOWS: Final[Mapping[str, tuple[str, str]]] = {
    "shadow": ("0 1px 2px rgb(20 30 60 / 5%), 0 8px 28px rgb(20 30 60 / 5%)", "none"),
}
LIGHT: Final = {name: pair[0] for name, pair in COLOURS.items()}
DARK: Final = {name: pair[1] for name, pair in COLOURS.items()}
SPACES: Final[Mapping[str, str]] = {
    "space-1": ".125rem",
    "space-2": ".25rem",
    "space-3": ".375rem",
    "space-4": ".5rem",
    "space-5": ".625rem",
    "space-6": ".75rem",
    "space-7": "1rem",
    "space-8": "1.25rem",
    "space-9": "1.5rem",
    "space-10": "2rem",
    "space-11": "2.5rem",
    "space-12": "3rem",
    "space-13": "4rem",
}
TYPE: Final[Mapping[str, str]] = {
    "sans": '-apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", system-ui, sans-serif',
    "mono": 'ui-monospace, "SF Mono", Menlo, Consolas, monospace',
    "text-1": ".75rem",
    "text-2": ".8125rem",
    "text-3": ".875rem",
    "text-4": ".9375rem",
    "text-5": "1rem",  # the usual one
    "text-6": "1.125rem",
    "text-7": "1.25rem",
    "text-8": "1.5rem",
    "text-9": "clamp(1.5rem, 4vw, 2rem)",
    "text-10": "clamp(1.75rem, 5vw, 2.5rem)",
    "text-11": "clamp(2.125rem, 7vw, 3.5rem)",
}
RADII: Final[Mapping[str, str]] = {
    "round-1": ".25rem",
    "round-2": ".375rem",
    "round-3": ".625rem",
    "round": ".875rem",  # of cards
    "round-full": "99rem",
}
TEXT_ON: Final[Mapping[str, tuple[str, ...]]] = {
    "paper": ("ink", "soft", "accent", "good", "warn", "bad"),
    "card": ("ink", "soft", "accent", "good", "warn", "bad"),
    "tint": ("ink", "soft", "accent"),
    "good-tint": ("ink", "soft", "good"),
    "warn-tint": ("ink", "soft", "warn"),
    "bad-tint": ("ink", "soft", "bad"),
    "theirs": ("ink", "soft", "accent", "warn"),
    "line": ("ink", "soft"),
    "accent": ("on",),
    "bad": ("on",),
}
"""For each ground the colours of text that stand on it: their contrast is at least CONTRAST_MIN."""
EDGES_ON: Final[Mapping[str, tuple[str, ...]]] = {
    "paper": ("soft", "accent", "good", "warn", "bad"),
    "card": ("soft", "accent", "good", "warn", "bad"),
    "tint": ("accent",),
}
"""Edges of fields, outlines, bars and dots on each ground: their contrast is at least EDGE_CONTRAST_MIN."""
CONTRAST_MIN: Final = 4.5
"""Of text (WCAG 2.2, 1.4.3 level AA)."""
EDGE_CONTRAST_MIN: Final = 3.0
"""Of parts of a control and of a figure (WCAG 2.2, 1.4.11 level AA)."""


def pixels(name: str) -> str:
    """Return a space, a size of text or a radius for mail programs, which know no `rem`: `space-7` is `16px`."""
    size = {**SPACES, **TYPE, **RADII}[name]
    return f"{float(size.removesuffix('rem')) * 16:g}px"


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours `#rrggbb`, from 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def channels(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue of a colour `#rrggbb`, from 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    def linear(channel: int) -> float:
        share = channel / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4  # noqa: PLR2004  # of sRGB

    red, green, blue = map(linear, channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _declared(values: Mapping[str, str]) -> str:
    return "".join(f"  --{name}: {value};\n" for name, value in values.items())


def _rules() -> str:
    """Return the rules that declare all values; those of dark screens replace colours and shadows."""
    light, dark = ({name: pair[scheme] for name, pair in SHADOWS.items()} for scheme in (0, 1))
    on_light = _declared({**LIGHT, **light, **SPACES, **TYPE, **RADII})
    on_dark = _declared({**DARK, **dark})
    return (
        f":root {{\n  color-scheme: light dark;\n{on_light}}}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{\n{on_dark}}} }}\n"
    )


STYLE: Final = _rules()
"""What stands before every style sheet."""
