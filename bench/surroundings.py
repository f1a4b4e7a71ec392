"""The servers for a figure."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import servers
from servers.databases import Postgres
from servers.s3 import S3Server


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A folder, a database server and an S3 server whose key is in the environment."""

    folder: Path
    postgres: Postgres
    s3: S3Server


@contextmanager
def surroundings() -> Iterator[Surroundings]:
    """Start new, empty servers, and stop them at the end; also reset the environment for the next S3 server."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as name, servers.postgres() as pg, servers.seaweedfs() as s3:
        os.environ.update(s3.environment)
        try:
            yield Surroundings(Path(name), pg, s3)
        finally:
            os.environ.clear()
            os.environ.update(before)
