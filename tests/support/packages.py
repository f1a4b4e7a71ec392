"""Packages of other people, installed for a test: a folder on the path, with the metadata that installers write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

NOTES = """
from portability.api import Batch, Dataset, Field, FieldType, Provenance, Role, SubjectKind

FIELDS = (
    Field("id", FieldType.STRING, "The record's id.", Provenance.PROVIDED),
    Field("text", FieldType.STRING, "Some text.", Provenance.PROVIDED),
)
NOTES = Dataset("notes", "Notes", "Your notes.", FIELDS, Provenance.PROVIDED, Role.CONTROLLER, ("id",))


class Notes:
    subject_kinds = frozenset({SubjectKind.USER})
    datasets = (NOTES,)

    def export(self, subject, dataset, selection, *, after=None):
        owners = subject.verified("user_id")
        if owners and after is None:
            yield Batch([{"id": "1", "text": f"a note of the package PACKAGE for {owners[0]}"}], "1")


def exporter(sources):
    return Notes()


def reader(sources):
    return sources.database


def from_files(sources):
    return sources.files
"""
"""A module with an exporter that reads no database, and two that ask for what a deployment may not have."""


def install(folder: Path, package: str, code: str, **groups: Mapping[str, str]) -> None:
    """A package of one module, with entry points by group: `exporters={"notes": "exporter"}`."""
    module = package.replace("-", "_")
    (folder / f"{module}.py").write_text(code.replace("PACKAGE", package))
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    text = "".join(
        f"[portability.{group}]\n" + "".join(f"{name} = {module}:{attribute}\n" for name, attribute in entries.items())
        for group, entries in groups.items()
    )
    (info / "entry_points.txt").write_text(text)
