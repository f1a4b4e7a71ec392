"""Hooks of maps, found by name among entry points: a map is edited by operators and must not run any code."""

from __future__ import annotations

from typing import Any

from portability.api.errors import BadSetting
from portability.plugins import HOOKS, find


def load_hook(name: str) -> Any:  # noqa: ANN401  # each place of a hook has a type of its own
    """Load the hook with a name. Raises BadSetting, DuplicatePlugin, BrokenPlugin."""
    found = find(HOOKS)
    if name not in found:
        raise BadSetting(f"unknown hook {name!r}; installed: {', '.join(found) or 'none'}", hint="see docs/maps.md")
    return found[name].load()
