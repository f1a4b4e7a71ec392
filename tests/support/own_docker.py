"""A Docker of its own, as root: its daemon and all its data are in a folder, and no registry is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from images import CERTIFICATES, pack_debian
from judges import programs
from workers import until

STOP_SECONDS = 60
POSTGRES = r"""
FROM localhost/debian-servers
ENV PGDATA=/var/lib/postgresql/data PATH=/usr/lib/postgresql/17/bin:/usr/bin:/bin:/usr/sbin:/sbin
RUN printf '%s\n' '#!/bin/sh' 'set -e' \
    'if [ "$(id -u)" = 0 ]; then' \
    '  export POSTGRES_PASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")"' \
    '  install -d -o postgres -m 0700 "$PGDATA"' \
    '  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0"' \
    'fi' \
    'if [ ! -s "$PGDATA/PG_VERSION" ]; then' \
    '  printf %s "$POSTGRES_PASSWORD" > /tmp/password' \
    '  initdb -U "$POSTGRES_USER" -E UTF8 --pwfile=/tmp/password --auth-host=scram-sha-256 --auth-local=trust' \
    '  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"' \
    '  pg_ctl -o "-c listen_addresses=" -w start' \
    '  createdb -U "$POSTGRES_USER" "$POSTGRES_DB"' \
    '  pg_ctl -m fast -w stop' \
    'fi' \
    'exec postgres -c listen_addresses="*"' > /entry.sh && \
    chmod +x /entry.sh && install -d -o postgres /run/postgresql
STOPSIGNAL SIGINT
ENTRYPOINT ["/entry.sh"]
"""
"""Stands in for PostgreSQL's official image: what compose.yaml uses of the settings of its first start."""
VALKEY = """
FROM localhost/debian-servers
CMD ["valkey-server"]
"""
"""Stands in for Valkey's official image; unlike that it has the protected mode of Valkey's own default."""
SERVERS = {"docker.io/library/postgres:17": POSTGRES, "docker.io/valkey/valkey:8": VALKEY}
"""The images that compose.yaml names, of packages of this Debian."""


@dataclass(frozen=True, slots=True)
class Docker:
    """A daemon, by its socket."""

    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        return {"DOCKER_HOST": f"unix://{self.folder}/docker.sock", "DOCKER_CONFIG": str(self.folder / "config")}

    def run(self, *arguments: str | Path) -> str:
        """Return what a command of Docker prints."""
        return programs.run([programs.program("docker", package="docker-cli"), *arguments], env=self.environment)

    def make_base(self, name: str, packages: str) -> None:
        """Make an image from packages of this Debian, with the certificates of this machine."""
        archive = self.folder / "base.tar"
        pack_debian(archive, packages)
        self.run("import", archive, name)
        archive.unlink()
        self.build(f"FROM {name}\nCOPY . {CERTIFICATES}\n", name, context=CERTIFICATES)

    def build(self, text: str, name: str, *, context: Path, base: str = "") -> None:
        """Build an image from the text of a Containerfile and the files of a folder."""
        file = self.folder / "Containerfile"
        file.write_text(text)
        options = ["--build-arg", f"BASE={base}"] if base else []
        self.run("build", "--quiet", "--network", "host", *options, "--file", file, "--tag", name, context)


@contextmanager
def docker_daemon(folder: Path) -> Iterator[Docker]:
    """A daemon for the length of the block."""
    daemon = programs.program("dockerd", package="docker.io")
    programs.program("docker-compose", package="docker-compose docker-buildx")
    made = Docker(folder)
    options = {"--data-root": "data", "--exec-root": "run", "--pidfile": "pid"}
    places = [part for option, name in options.items() for part in (option, folder / name)]
    command = [daemon, *places, "--host", made.environment["DOCKER_HOST"]]
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            until((folder / "docker.sock").exists, f"the daemon listens: {folder}/log", seconds=STOP_SECONDS)
            yield made
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)
            # The daemon mounts the folder on itself, and leaves it so.
            programs.run([programs.program("umount", package="mount"), folder / "data"])
            shutil.rmtree(folder / "data")
