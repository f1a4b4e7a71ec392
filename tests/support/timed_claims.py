"""Claims of a token whose times count from the moment of the test."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any


def timed(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Make times of `iat` and `exp` that are given in seconds from now (RFC 7519, 4.1)."""
    present = int(time.time())
    return {
        name: present + value if name in {"iat", "exp"} and isinstance(value, int) else value
        for name, value in claims.items()
    }
