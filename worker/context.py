"""The resources of a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from archive.parts import ArchiveBrand
from portability.api import Exporter
from portability.api.storages import Storage
from portability.brand import accent_style
from portability.law import notice
from portability.settings import Settings
from portability.source_trust import SourceTrust
from portability.sources import trusted


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The connections of this process; opened after the fork."""

    settings: Settings
    engine: Engine
    storage: Storage
    exporters: Mapping[str, Exporter]

    @property
    def brand(self) -> ArchiveBrand:
        """How the issuer presents itself in archives."""
        settings = self.settings
        style = accent_style(settings.brand_colour, settings.brand_colour_dark)
        return ArchiveBrand(settings.brand_name, settings.brand_archive_prefix, style, settings.brand_colour)

    @property
    def trust(self) -> SourceTrust:
        """Return whose identities each source accepts. Raises BadSetting."""
        return trusted(self.settings, self.exporters)

    @property
    def notice(self) -> notice.Register:
        """Return the notice register: the information for people about the processing. Raises NoticeHole."""
        return notice.load(self.settings.notice_dir, reference=self.settings.has_reference)
