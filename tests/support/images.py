"""Container images without a registry or a daemon: on a base from Debian packages, built and run by buildah as root."""

from __future__ import annotations

import os
import resource
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from judges import programs
from repository import ROOT

BASE = "localhost/debian-python"
PACKAGES = "python3,python3-venv,ca-certificates"
CERTIFICATES = Path("/etc/ssl/certs")
SOURCES = Path("/etc/apt/sources.list.d")


@dataclass(frozen=True, slots=True)
class Images:
    """A store of images in a folder of its own."""

    folder: Path

    def make_base(self) -> str:
        """Make an image with Python from the packages of this Debian; returns its name."""
        archive = self.folder / "base.tar"
        pack_debian(archive, PACKAGES)
        container = self._buildah("from", "scratch").strip()
        self._buildah("add", "--quiet", container, str(archive), "/")
        self._buildah("commit", "--quiet", container, BASE)
        self._buildah("rm", container)
        archive.unlink()
        return BASE

    def build(self, tag: str, *, base: str) -> str:
        """Build the image of the repository on a base; returns its name. The certificates are those of this machine."""
        options = ["--network", "host", "--pull=never", "--format", "docker", "--build-arg", f"BASE={base}"]
        options += ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
        self._buildah("build", "--quiet", *options, "-f", str(ROOT / "deploy" / "Containerfile"), "-t", tag, str(ROOT))
        return tag

    def inspect(self, name: str, template: str) -> str:
        """Return a value of an image's configuration, by a Go template."""
        return self._buildah("inspect", "--type", "image", "--format", template, name).strip()

    @contextmanager
    def container(self, name: str) -> Iterator[Container]:
        """A container that runs commands, as the image's user, on the network of this machine."""
        identifier = self._buildah("from", "--pull=never", name).strip()
        try:
            yield Container(self, identifier)
        finally:
            self._buildah("rm", identifier)

    def _buildah(self, *arguments: str) -> str:
        return programs.run([*self.command(), *arguments], env=self.environment())

    def command(self) -> Sequence[str]:
        return [programs.program("buildah", package="buildah netavark aardvark-dns crun"), "--storage-driver", "vfs"]

    def environment(self) -> Mapping[str, str]:
        """Settings of buildah for this machine: its own folders, and limits that the machine allows."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        limits = self.folder / "containers.conf"
        limits.write_text(f'[containers]\ndefault_ulimits=["nofile={files}:{files}","nproc=90000:90000"]\n')
        storage = self.folder / "storage.conf"
        places = f'graphroot = "{self.folder}/images"\nrunroot = "{self.folder}/run"\n'
        storage.write_text(f'[storage]\ndriver = "vfs"\n{places}')
        return {
            "CONTAINERS_CONF": str(limits),
            "CONTAINERS_STORAGE_CONF": str(storage),
            "BUILDAH_ISOLATION": "chroot",
            "TMPDIR": str(self.folder),
        }


@dataclass(frozen=True, slots=True)
class Container:
    """A container made of an image."""

    images: Images
    identifier: str

    def command(
        self, *arguments: str, volumes: Sequence[str] = (), settings: Mapping[str, str] | None = None
    ) -> list[str]:
        """Return the command that runs the image's program in the container."""
        options = [option for volume in volumes for option in ("--volume", volume)]
        options += [option for pair in (settings or {}).items() for option in ("--env", "=".join(pair))]
        start = [*self.images.command(), "run", "--isolation", "chroot", "--network", "host", *options]
        return [*start, self.identifier, "--", *arguments]

    def run(self, *arguments: str, volumes: Sequence[str] = (), settings: Mapping[str, str] | None = None) -> str:
        """Return what a command prints."""
        return programs.run(self.command(*arguments, volumes=volumes, settings=settings), env=self.images.environment())

    @contextmanager
    def started(
        self, *arguments: str, log: Path, volumes: Sequence[str] = (), settings: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A process of the container for the length of the block; its log is in a file."""
        command = self.command(*arguments, volumes=volumes, settings=settings)
        environment = {**os.environ, **self.images.environment()}
        with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file, env=environment) as process:
            try:
                yield process
            finally:
                process.terminate()
                process.wait(60)


def pack_debian(archive: Path, packages: str) -> None:
    """Make the file system of an image from packages of this Debian, as a tar file."""
    mmdebstrap = programs.program("mmdebstrap", package="mmdebstrap")
    sources = sorted(SOURCES.glob("*.sources"))
    programs.run([mmdebstrap, "--quiet", "--variant=minbase", f"--include={packages}", "trixie", archive, *sources])


def fresh_tag() -> str:
    return f"localhost/portability:{secrets.token_hex(4)}"
