"""Data as script files: a page that lies in a folder may load scripts, while `fetch` is blocked there.

Data travels as JSON inside single-quoted string literals, which the page reads with JSON.parse: whatever stands in a
record, it is never code, and a name such as `__proto__` stays a name. `<` is escaped as well, so that the text is
harmless even inside the markup of a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from portability.api import JSON

REGISTRY = b"portability"
"""The only global name of the page's scripts."""


def literal(text: bytes) -> bytes:
    """Write JSON text in UTF-8 as a JavaScript string literal (ECMA-262, section 12.9.4)."""
    escaped = text.replace(b"\\", b"\\\\").replace(b"'", b"\\'").replace(b"<", b"\\x3c")
    # Legal in JSON; the end of a line in ECMAScript before 2019.
    escaped = escaped.replace("\u2028".encode(), b"\\u2028").replace("\u2029".encode(), b"\\u2029")
    return b"'" + escaped.replace(b"\n", b"\\n").replace(b"\r", b"\\r") + b"'"


def call(function: str, head: JSON, lines: Iterable[bytes] | None = None) -> Iterator[bytes]:
    """Yield the blocks of a script that calls a function of the registry with a value and, if given, lines of JSON."""
    yield REGISTRY + b"." + function.encode() + b"(" + literal(orjson.dumps(head))
    if lines is not None:
        yield b",["
        for line in lines:
            yield b"\n" + literal(line) + b","
        yield b"\n]"
    yield b");\n"
