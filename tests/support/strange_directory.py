"""A third-party package with a directory in which each subject has an address."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

DIRECTORY = """
    from portability.api import Contact

    class AnySubject:
        def contact(self, subject):
            return Contact(f"{subject.ref}@mail.example", "id", True, None)

    def directory(sources):
        return AnySubject()
"""


def install_directory(folder: Path) -> None:
    """Install a third-party package with a directory, as pip does."""
    folder.mkdir()
    (folder / "strange_package.py").write_text(dedent(DIRECTORY))
    metadata = folder / "strange_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: strange-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[portability.directory]\nstrange = strange_package:directory\n")
