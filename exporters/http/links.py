"""The header `Link` of an answer (RFC 8288)."""

from __future__ import annotations

import re

from exporters.http.client import HttpPage

_LINK = re.compile(r'<([^<>]*)>((?:[^",]|"(?:[^"\\]|\\.)*")*)')
"""A URL and its parameters; both may contain commas."""
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))')


def linked(page: HttpPage) -> str | None:
    """Return the URL with the relation `next` of the header `Link` (section 3); None without one."""
    for url, parameters in _LINK.findall(page.headers.get("Link", "")):
        stated = ((name.lower(), quoted or plain) for name, quoted, plain in _PARAMETER.findall(parameters))
        relations = next(
            (value for name, value in stated if name == "rel"), ""
        )  # another `rel` behind it does not count
        if "next" in relations.lower().split():
            return str(url)
    return None
