"""What a worker works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from portability import notice
from portability.api import Exporter
from portability.settings import Settings
from portability.storage import Storage


@dataclass(frozen=True, slots=True)
class Workplace:
    """The connections that this process works with; opened after the fork."""

    settings: Settings
    engine: Engine
    storage: Storage
    exporters: Mapping[str, Exporter]

    @property
    def notice(self) -> notice.Register:
        """What people are told of the processing. Raises NoticeHole."""
        return notice.load(self.settings.notice_dir)
