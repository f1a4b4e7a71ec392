"""Check of `portability doctor`: variables of the environment that are nearly the name of a setting."""

from __future__ import annotations

import os
from difflib import get_close_matches

from cli.checks import Seen
from cli.context import Context
from portability.settings import Settings

PREFIX = "PORTABILITY_"
NEARNESS = 0.85
"""Of two names, from 0 to 1. Kubernetes adds names such as PORTABILITY_SERVICE_PORT, which are near to no setting."""


def settings(_context: Context) -> Seen:
    """Look for misspelt settings. Never a fault: a variable may belong to something else."""
    known = [name.upper() for name in Settings.model_fields]
    given = sorted({name.upper().removeprefix(PREFIX) for name in os.environ if name.upper().startswith(PREFIX)})
    near = {name: get_close_matches(name, known, 1, NEARNESS) for name in given if name not in known}
    found = [f"{PREFIX}{name} ({PREFIX}{names[0]}?)" for name, names in near.items() if names]
    if found:
        return Seen(f"not read, since no setting has the name: {', '.join(found)}", "see docs/settings.md")
    return Seen()
