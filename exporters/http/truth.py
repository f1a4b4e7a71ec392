"""Whether a value says yes: sources write booleans as texts and numbers, too, and times that are not set as zeros."""

from __future__ import annotations

import re
from typing import Any

_NO = re.compile(r"|false|f|no|n|off|null|none|[0:.TZ+ -]+", re.IGNORECASE)
"""Texts that say no. Older interfaces write a time that is not set as `0000-00-00 00:00:00`."""


def says_yes(value: Any) -> bool:  # noqa: ANN401  # any JSON value
    """Return whether a value is true, or set; the texts "false", "no" and "0" are neither."""
    return not _NO.fullmatch(value.strip()) if isinstance(value, str) else bool(value)
