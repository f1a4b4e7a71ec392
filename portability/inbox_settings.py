"""Settings of the receiving service, a part of `portability.settings.Settings`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from portability import setting_values as kinds

GIB = 1 << 30


class InboxSettings(kinds.EnvironmentTexts):
    """Every setting of the receiving service; a field's description is its line in docs/settings.md."""

    inbox_identity: Path | None = Field(
        None, description="File with the private age keys of transfers to this service; default: it receives none"
    )
    inbox_audience: str | None = Field(
        None,
        description="Domain of this service as senders have recorded it; default: the host of BASE_URL",
        min_length=1,
    )
    inbox_into: kinds.DatabaseUrl | None = Field(
        None,
        repr=False,
        description="The platform's database that transfers are imported into; default: on the embedded stack its own",
    )
    inbox_files: kinds.StorageUrl | None = Field(
        None, repr=False, description="Storage of imported recordings and attachments; default: RECORDINGS_URL"
    )
    inbox_dir: Path | None = Field(
        None, description="Folder of the quarantine, which only its owner can read; default: DIR/inbox"
    )
    inbox_journal_key: Path | None = Field(
        None, description="Key file of the journal that can undo imports; default: DIR/import-journal.key"
    )
    inbox_bytes: int = Field(64 * GIB, description="Maximum unpacked size of a received transfer", ge=1)
    inbox_transfers_max: int = Field(
        100, description="Transfers of one sender that can await a decision; further offers have to wait", ge=1
    )
    inbox_days: int = Field(
        14, description="How long an officer can decide on a received transfer before it is refused", ge=1, le=29
    )
    inbox_journal_days: int = Field(30, description="How long the import of a received transfer can be undone", ge=1)
