"""Packages of the extra `embedded`, which an installation for production does not have."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from portability.errors import MissingExtra


def require(command: str, *modules: str) -> None:
    """Check that a command finds these modules before it changes anything. Raises MissingExtra."""
    if missing := [module for module in modules if not find_spec(module)]:
        raise MissingExtra(f"`portability {command}` needs {' and '.join(missing)} of the extra 'embedded'")


def load(module: str) -> ModuleType:
    """Import a module of the extra. Raises MissingExtra."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise MissingExtra(f"{module} of the extra 'embedded' is not installed") from None
