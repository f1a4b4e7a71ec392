"""The pages of an archive outside the viewer: one look, both languages, no script, no request to anywhere."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from archive import phrases

_FOLDER = Path(__file__).parent
_STYLE = (_FOLDER / "readme.css").read_text("utf-8")
_environment = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals |= {
    "told": phrases.told,
    "reason": phrases.reason,
    "phrases": phrases.PHRASES,
    # Ours, from the folder of this module: escaping would break its quotes, and the policy's hash with them.
    "style": Markup(_STYLE),  # noqa: S704  # as said above
    "style_hash": "sha256-" + b64encode(sha256(_STYLE.encode()).digest()).decode(),
}


def render(template: str, **context: Any) -> bytes:  # noqa: ANN401  # what a template shows is of any kind
    """A whole page."""
    return _environment.get_template(template).render(context).encode()
