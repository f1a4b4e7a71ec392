"""A machine whose clock is wrong: modules of the project see another time than the databases."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

PACKAGES = ("archive", "cli", "exporters", "portability", "web", "worker", "itsdangerous", "joserfc")
"""The project, and the libraries that read the clock for it."""


def set_wrong(patched: pytest.MonkeyPatch, *modules: ModuleType, **by: float) -> None:
    """Let modules read a clock that is wrong by a `timedelta` of these words, in `datetime.now` and `time.time`."""
    error = timedelta(**by)

    class Type(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, datetime)

    class ErringTime(datetime, metaclass=Type):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # a plain datetime is returned
            return datetime.now(tz) + error

    erring = SimpleNamespace(**{**vars(time), "time": lambda: time.time() + error.total_seconds()})
    for module in modules:
        if getattr(module, "datetime", None) is datetime:
            patched.setattr(module, "datetime", ErringTime)
        if getattr(module, "time", None) is time:
            patched.setattr(module, "time", erring)


def set_machine_wrong(patched: pytest.MonkeyPatch, **by: float) -> None:
    """Let all modules read it that are imported: so the test names no module, and forgets none."""
    named = [module for name, module in sys.modules.items() if name.partition(".")[0] in PACKAGES]
    set_wrong(patched, *named, **by)
