"""The pages of an archive outside the viewer: one look, every language, no script, no request to anywhere."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from babel import Locale
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from portability import design
from portability.law.citations import cite
from portability.law.omissions import explanation
from portability.locale import SOURCE, find, languages, own_name, text, values
from portability.locale.isolation import closed, isolated

_FOLDER = Path(__file__).parent
_STYLE = design.STYLE + (_FOLDER / "readme.css").read_text("utf-8")


def render(template: str, *, accent: str, **context: Any) -> bytes:  # noqa: ANN401  # what a template shows is of any kind
    """Render a whole page; `accent` is a style rule with the issuer's colours."""
    style = _STYLE + accent
    context |= {
        # From this module's folder, and colours that the settings have checked: escaping would break the quotes, and
        # the policy's hash with them.
        "style": Markup(style),  # noqa: S704  # as said above
        "style_hash": "sha256-" + b64encode(sha256(style.encode()).digest()).decode(),
    }
    return _environment.get_template(template).render(context).encode()


def say(language: str, code: str, /, **values: object) -> Markup:
    """Return a sentence of the catalogue `archive` as HTML; what its placeholders stand for is escaped."""
    marked = _marked(language, f"archive.{code}")
    return marked.format_map({k: isolated(v) if type(v) is str else v for k, v in values.items()}) if values else marked


def say_or(language: str, code: str, detail: str, /, **values: object) -> Markup:
    """Return the sentence `<code>_<detail>`, or that of `code` where plug-ins bring along a detail without one."""
    own = f"{code}_{detail}"
    return say(language, own if find(language, f"archive.{own}") else code, **values)


def state(language: str, code: str) -> str:
    """Return a dataset's state in words; an unknown one as it stands."""
    return find(language, f"archive.states.{code}") or code


def reason(language: str, code: str) -> str:
    """Return why something is not there, in words; an unknown code as it stands."""
    return explanation(code, language) or code


def read(about: Mapping[str, Any], name: str, language: str) -> str:
    """Return a text of a dataset or of what is withheld: translated, else as its author wrote it."""
    by_language = about.get("translations", {}).get(name, {})
    return str(by_language.get(language) or about.get(name) or "")


def choose(by_language: Mapping[str, str], language: str) -> str:
    """Return a text of the notice in a language, else in SOURCE."""
    return by_language.get(language) or by_language[SOURCE]


def day(language: str, on: str) -> str:
    """Return a date, given as RFC 3339 writes it, as people who read the language write it."""
    return values.date(language, datetime.fromisoformat(on))


def breakable(path: str) -> Markup:
    """Return a path as HTML that may break after each slash, and is copied as it is."""
    return Markup("/<wbr>").join(path.split("/"))


@cache
def direction(language: str) -> str:
    """Return `ltr` or `rtl`."""
    return str(Locale.parse(language, sep="-").text_direction)


@cache
def _marked(language: str, code: str) -> Markup:
    """Return a sentence as HTML: `code` between backticks and **strong** between double asterisks."""
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text(language, code))))
    # From the catalogues of this repository, escaped above.
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", marked))  # noqa: S704  # as said above


def _shown(value: object) -> object:
    return closed(value) if type(value) is str else value


_environment = Environment(
    loader=FileSystemLoader(_FOLDER),
    finalize=_shown,
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["isolated"] = isolated
_environment.globals |= {
    "say": say,
    "say_or": say_or,
    "state": state,
    "reason": reason,
    "read": read,
    "choose": choose,
    "cite": cite,
    "breakable": breakable,
    "moment": values.moment,
    "day": day,
    "number": values.number,
    "languages": languages(),
    "own_name": own_name,
    "direction": direction,
    "source": SOURCE,
}
