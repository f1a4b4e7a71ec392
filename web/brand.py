"""Brand: the name, mark and colours of the deployment, as pages show them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from portability import design
from portability.brand import DARK, LIGHT, Mark, accent_style, read_mark
from portability.settings import Settings

DEFAULT_MARK = Path(__file__).parent / "static" / "mark.svg"
MARK_PATH, STYLE_PATH = "/brand/mark", "/brand/style.css"


@dataclass(frozen=True, slots=True)
class PageBrand:
    """How the deployment presents itself on its pages."""

    name: str
    contact: str | None
    mark: Mark
    style: str
    """The values of the design, with the deployment's colours: what the style sheet of the pages names."""

    @classmethod
    def of(cls, settings: Settings) -> PageBrand:
        """Read what the settings have checked; a file of the mark is read once, here. Raises ValueError."""
        light, dark = settings.brand_colour, settings.brand_colour_dark
        mark = read_mark(settings.brand_mark, light) if settings.brand_mark else _default_mark(light, dark)
        return cls(settings.brand, settings.contact, mark, design.STYLE + accent_style(light, dark))

    @property
    def mark_url(self) -> str:
        """The address of the mark; it changes with the content, so that browsers may keep it for long."""
        return f"{MARK_PATH}?{_digest(self.mark.content)}"

    @property
    def style_url(self) -> str:
        """The address of the values of the design, as above."""
        return f"{STYLE_PATH}?{_digest(self.style.encode())}"


def _default_mark(light: str, dark: str) -> Mark:
    """The mark that comes with the software, in the deployment's colours."""
    image = DEFAULT_MARK.read_text().replace(LIGHT, light).replace(DARK, dark)
    return Mark(image.encode(), "image/svg+xml")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
