"""A machine whose clock is wrong: modules of the project see another time than the databases."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


def set_wrong(patched: pytest.MonkeyPatch, *modules: ModuleType, **by: float) -> None:
    """Let modules read a clock that is wrong by a `timedelta` of these words, in `datetime.now` and `time.time`."""
    error = timedelta(**by)

    class ErringTime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # a plain datetime is returned
            return datetime.now(tz) + error

    erring = SimpleNamespace(**{**vars(time), "time": lambda: time.time() + error.total_seconds()})
    for module in modules:
        if hasattr(module, "datetime"):
            patched.setattr(module, "datetime", ErringTime)
        if hasattr(module, "time"):
            patched.setattr(module, "time", erring)
