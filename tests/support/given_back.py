"""The button of a page about an error that leads back to the form, filled in as it was."""

from __future__ import annotations

import re
from html import unescape

import httpx
from served import Browser

FIELD = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')
BACK = re.compile(
    r'<form method="post" action="([^"]+)">((?:\s*<input type="hidden"[^>]*>)+)\s*<button class="button">',
)


def form_again(visitor: Browser, answer: httpx.Response) -> httpx.Response:
    """Press the button that leads back from a page about an error."""
    found = BACK.search(answer.text)
    assert found
    fields: dict[str, list[str]] = {}
    for name, value in FIELD.findall(found[2]):
        fields.setdefault(name, []).append(unescape(value))
    return visitor.client.post(found[1], data=fields)
