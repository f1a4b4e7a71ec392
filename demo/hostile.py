"""Values that are legal in a database and dangerous in other formats.

No NUL: PostgreSQL refuses it, and both databases contain the same data. Nothing here is personal.
"""

from __future__ import annotations

from random import Random

HUGE_BYTES = 1 << 20

TEXTS = (
    "",
    " ",
    "=1+1",
    '=HYPERLINK("http://example.invalid/","invoice")',
    "+6284112345678",
    "-2+3",
    "@SUM(A1:A9)",
    "\t=1+1",
    "\uff1d1+1",
    "'already quoted",
    "''",
    '"',
    'say "hello", then; leave',
    "back\\slash, 'single', \"double\", `tick`",
    "first line\nsecond line",
    "first line\r\nsecond line\r",
    "tab\tvertical\vform\fbell\aescape\x1b[31mred\x1b[0m",
    "\x01\x02\x1f\x7f\x85\u2028\u2029",
    "\ufeffbyte order mark",
    "family \U0001f468\u200d\U0001f469\u200d\U0001f467, flag \U0001f1ee\U0001f1e9, skin \U0001f44d\U0001f3fd",
    "\u0645\u0631\u062d\u0628\u0627, order \u202e4321\u202c, \u05e9\u05dc\u05d5\u05dd",
    "e\u0301 is not \u00e9; \ufb01 is not fi",
    "zalgo\u0334\u0317\u0341\u0350 and \u200bzero\u200dwidth",
    "\U0001f9ff\U0010ffff\ufffd",
    "null",
    "NULL",
    "NaN",
    "00123",
    "1e400",
    "2026-13-45",
    "../../etc/passwd",
    "C:\\CON\\aux.txt",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "</script><!-- ]]>",
    "{{7*7}} ${7*7} %s %(x)s {0}",
    "Robert'); DROP TABLE messages;--",
)

NAMES = (
    "=1+1",
    'O\'Brien "Bob", Jr.',
    "\u0645\u062d\u0645\u062f \u0639\u0644\u064a",
    "Siti \U0001f338 Nurhaliza",
    "Null",
    "Line\nBreak",
    "@x",
    "\u738b\u5c0f\u660e",
    "Zo\u00eb D\u2019Arc\u2014Smith",
    "<b>Bold</b>",
)


def huge(size: int = HUGE_BYTES) -> str:
    """Return a text of exactly `size` bytes in UTF-8, with characters of one to four bytes."""
    pattern = "long \u00e9 \u20ac \U0001f600 line\n"
    length = len(pattern.encode())
    return pattern * (size // length) + "." * (size % length)


def text(random: Random) -> str:
    """Return one of TEXTS at random."""
    return random.choice(TEXTS)
